//! Certificate revocation lists: the [`store`] of those in use, the [`source`]s they come from, one [`list`], and
//! the [`table`] of its entries.

pub(crate) mod store;
mod source;
pub(crate) mod list;
mod entries;
pub(crate) mod extensions;
mod table;
mod pem;
mod stream;
