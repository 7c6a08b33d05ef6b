//! Certificates: fields, path validation, certificate revocation lists.
