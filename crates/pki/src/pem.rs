//! Certificates out of files: PEM bundles or single DER certificates, of bounded size.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls_pki_types::pem::{PemObject as _, SectionKind};

use crate::certificate::Certificate;
use crate::error::Error;

/// The largest file of certificates that is read, in bytes.
pub const MAX_BUNDLE: u64 = 16 * 1024 * 1024;

impl Certificate {
    /// Every certificate of a PEM or DER file, in its order; other PEM blocks are passed over.
    ///
    /// # Errors
    /// [`Error`] with the file, also when it holds no certificate at all.
    pub fn from_file(path: &Path) -> Result<Vec<Self>, Error> {
        let mut bytes = Vec::new();
        let read = |source| Error::Read { path: path.to_owned(), source };
        File::open(path).map_err(read)?.take(MAX_BUNDLE + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 > MAX_BUNDLE {
            return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_BUNDLE });
        }
        Self::from_bundle(&bytes, path)
    }

    /// Every certificate of a PEM bundle or of one DER certificate; `path` is only for errors.
    ///
    /// # Errors
    /// As [`Certificate::from_file`].
    pub fn from_bundle(bytes: &[u8], path: &Path) -> Result<Vec<Self>, Error> {
        let malformed = |number, problem| Error::Certificate { path: path.to_owned(), number, problem };
        // A DER certificate begins with SEQUENCE and a long length; no PEM file begins so.
        if bytes.first() == Some(&crate::der::tag::SEQUENCE) {
            return Ok(vec![Self::from_der(bytes).map_err(|problem| malformed(1, problem))?]);
        }
        let mut certificates = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
            let (kind, der) =
                section.map_err(|error| Error::Pem { path: path.to_owned(), problem: error.to_string() })?;
            if kind == SectionKind::Certificate {
                let number = certificates.len() + 1;
                certificates.push(Self::from_der(&der).map_err(|problem| malformed(number, problem))?);
            }
        }
        if certificates.is_empty() { Err(Error::NoCertificate { path: path.to_owned() }) } else { Ok(certificates) }
    }
}
