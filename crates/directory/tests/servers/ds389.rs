//! 389 Directory Server, of the family of Oracle's.
