//! Certificate revocation lists: the [`store`] of those in use, how it is [`refresh`]ed, the [`source`]s they come from,
//! one [`list`], and the [`table`] of its entries.

mod refresh;
pub(crate) mod store;
pub(crate) mod snapshot;
pub(crate) mod status;
mod source;
mod reading;
mod keep;
mod state;
pub(crate) mod list;
mod entries;
pub(crate) mod extensions;
mod table;
mod pem;
mod stream;
