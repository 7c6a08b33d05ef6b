//! Replays the saved corpus of the fuzz targets of certificates and lists through the targets' own bodies, as it is
//! and damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use proptest::prelude::*;

#[path = "../../../fuzz/bodies/certificate_fields.rs"]
mod certificate_fields;
#[path = "../../../fuzz/bodies/crl.rs"]
mod crl;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "{} holds no corpus", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn certificates_as_saved() {
    corpus("certificate_fields").iter().for_each(|octets| certificate_fields::run(octets));
}

#[test]
fn lists_as_saved() {
    corpus("crl").iter().for_each(|octets| crl::run(octets));
}

/// One of the corpus, cut short or with some octets changed.
fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = proptest::collection::vec(change, 0..4);
    (prop::sample::select(corpus(target)), changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut octets, changes, end, cut)| {
            for (at, octet) in changes {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            if cut {
                octets.truncate(end.index(octets.len()));
            }
            octets
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_certificates(octets in damaged("certificate_fields")) {
        certificate_fields::run(&octets);
    }

    #[test]
    fn damaged_lists(octets in damaged("crl")) {
        crl::run(&octets);
    }
}
