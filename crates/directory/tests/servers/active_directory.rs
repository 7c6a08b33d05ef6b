//! Active Directory: Samba stands in.
