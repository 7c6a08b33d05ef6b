//! Certification paths: found among the certificates at hand ([`build`]), then judged by RFC 5280 section 6.1
//! ([`validate`]), the policies by RFC 9618 ([`policy`]), the names by section 4.2.1.10 ([`constraints`]).

pub(crate) mod build;
pub(crate) mod validate;
mod constraints;
mod policy;
pub(crate) mod rules;
pub(crate) mod budget;
