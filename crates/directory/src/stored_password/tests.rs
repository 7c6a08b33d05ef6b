use argon2::password_hash::PasswordHasher as _;

use super::*;

const PASSWORD: &str = "Grüße, Bob 1";

/// Made by Python's hashlib and crypt (libxcrypt).
const VALUES: [&str; 19] = [
    "{SHA}C2DiyYQsZfpnn1YN7WCoex7f7Cw=",
    "{SSHA}9U2TDuD/YU7QyEmwj85AROks22NzYWx0c2FsdA==",
    "{SHA256}hFJBXn1P0tEYFpHEW0BOBN0gvmx4WZMf6EDDzU9R9pQ=",
    "{SSHA256}UVCUd/WzOi9eF07vXyLmWcupA8MAMmBiA55e+75lFVVzYWx0c2FsdA==",
    "{SHA384}6F/9GwEa5PpPUr2ikCH231FnFa/XnzTha8H+D6MIVRzyv3bUw37hsfXQfdadfDx5",
    "{SSHA384}9WkdmYu4Oy07mHnlwIuKE01f1KW9wEANe9dXmk3NfMMDmCxbzpQxYFAfJA3v3Fzjc2FsdHNhbHQ=",
    "{SHA512}0/SWJAXtoc4GM1PAEgS5wzVovbfrVD7ubMcFtlcmImdo28dIKIIn5Mn09/rErrnyLKhsns3fY9CFXLOyUiRfrQ==",
    "{SSHA512}Z6cNPMJyIhflrosLh2mSGmo1HDaJnfkZzMXqn7usXbSH9AuehRAMaLSFGxZwTFOicnFuAUqgTw4QHhzDeK8TZnNhbHRzYWx0",
    "{PBKDF2}1000$c2FsdHNhbHQ$5cGJTZI2dgojmDQ9WRbLRUsZ3gg",
    "{PBKDF2-SHA1}1000$c2FsdHNhbHQ$5cGJTZI2dgojmDQ9WRbLRUsZ3gg",
    "{PBKDF2-SHA256}1000$c2FsdHNhbHQ$xPgajc.IBzyPtvl0T0eum1qgQRY5jvSz0JYsufViU3M",
    "{PBKDF2-SHA512}1000$c2FsdHNhbHQ$n5uVhDNJ9Fh/nZ39F7BZze/jbk1vk45HMquXfoQr3B1ymFnoE4XnpDqPvh5s75jfYRZHOPTZINz/C2eIeYqlcg",
    "{PBKDF2_SHA256}AAAIAAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj9B2cMG/mhRYSKJxigVq0KHiK/X80dhex+Q2l+41XMBzd3roUkshRp3iwVTgOJaCmj0m7m7gYqW5NQdZfeXwLTwmtrs8Utm6RIT8aHqA1FK9INVFDUB8Z10TWgWt7359SsbOnItzg4oLXfj7Q3blr2gl8SX6y0lfMhEUS8TyYtwJNqddO5CaY9taKLf6wuP4wFNEYcHKIBQclsFRxdUvICNhwAtVhNpAAI/g9KuvcFh8DLX8zVeoKLIJwZ+LyjWzPuUrvb8kmbQNMoFYROi70NJjNwmxphvnFpe9OhGWNXsZMUsUsuEQJm0GaojyF/3AXTlhUduzlM0lNDdk4msakof",
    "{SCRAM-SHA-256}4096,c2FsdHNhbHQ=,TBqc3HgezKR4DhiEEmOfunVg0yOSkNZ1yuE6TZQxDoQ=,5vl/hocn+wR15ja2blwJzn76Nwfn5pvriLi2wb4mMKs=",
    "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$TBqc3HgezKR4DhiEEmOfunVg0yOSkNZ1yuE6TZQxDoQ=:5vl/hocn+wR15ja2blwJzn76Nwfn5pvriLi2wb4mMKs=",
    "{CRYPT}$5$rounds=1000$saltsalt$/bpj5AkkqpXR932H/oEs1l5eyE589WJMBJwcFVuMz82",
    "{CRYPT}$6$saltsalt$4eDR4zKN8.QE7oQXBuF405rer2TxiJyiVwuNzo2M.NEIYqNt0XsetcmUQUgwMi0oMo3FecZXLSFHYmYQYTDzB/",
    "{CRYPT}$2b$05$abcdefghijklmnopqrstuu.9o0mEK3JqB93JJwwBg3UXPCSJfyD4.",
    "{CRYPT}$y$j7T$saltsalt$IPR11SaiJzWZXEdRe3wRBEwcAo6.KPjymRjiS3wCPx3",
];

fn check(value: &str, password: &str) -> Result<bool, String> {
    StoredPassword::parse(value.as_bytes()).map(|stored| stored.is(password.as_bytes()))
}

#[test]
fn every_scheme_knows_its_password_from_others() {
    for value in VALUES.into_iter().chain([PASSWORD, "{CLEARTEXT}Grüße, Bob 1"]) {
        assert_eq!(check(value, PASSWORD), Ok(true), "{value}");
        // The scheme's name has no case (RFC 2307 section 5.3).
        if let Some((scheme, rest)) = value.split_once('}') {
            assert_eq!(check(&format!("{}}}{rest}", scheme.to_lowercase()), PASSWORD), Ok(true), "{value}");
        }
        for wrong in ["Grüße, Bob 2", "", "grüße, bob 1", "Grüße, Bob 1 ", value] {
            assert_eq!(check(value, wrong), Ok(wrong == PASSWORD), "{value} {wrong:?}");
        }
    }
}

#[test]
fn argon2_of_every_kind() {
    for algorithm in [argon2::Algorithm::Argon2i, argon2::Algorithm::Argon2d, argon2::Algorithm::Argon2id] {
        let params = argon2::Params::new(64, 1, 1, None).unwrap();
        let hasher = Argon2::new(algorithm, argon2::Version::V0x13, params);
        let hash: argon2::password_hash::phc::PasswordHash = hasher.hash_password(PASSWORD.as_bytes()).unwrap();
        let value = format!("{{ARGON2}}{hash}");
        assert_eq!(check(&value, PASSWORD), Ok(true), "{value}");
        assert_eq!(check(&value, "other"), Ok(false), "{value}");
    }
}

#[test]
fn what_can_not_be_verified_is_told_and_never_compared_as_text() {
    for (value, told) in [
        ("{SSHA}short", "{SSHA} value that is none"),
        ("{SSHA}!!!!", "{SSHA} value that is none"),
        ("{SHA}", "{SHA} value that is none"),
        ("{PBKDF2}0$c2FsdA$c2FsdA", "{PBKDF2} value that is none"),
        ("{PBKDF2}4000000000$c2FsdA$c2FsdA", "{PBKDF2} value that is none"),
        ("{PBKDF2}1000$c2FsdA$", "{PBKDF2} value that is none"),
        ("{PBKDF2}1000$c2FsdA$c2FsdA$c2FsdA", "{PBKDF2} value that is none"),
        ("{PBKDF2_SHA256}AAAIAA==", "{PBKDF2_SHA256} value that is none"),
        ("{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ", "an {ARGON2} value that is none"),
        ("{CRYPT}XXsaltsalthash", "a method that is not taken"),
        ("{CRYPT}$1$saltsalt$hash", "a method that is not taken"),
        ("{CRYPT}$6$rounds=999999999$saltsalt$x", "too expensive"),
        ("{CRYPT}$2b$31$abcdefghijklmnopqrstuu.9o0mEK3JqB93JJwwBg3UXPCSJfyD4.", "too expensive"),
        ("{CRYPT}$y$jHT$saltsalt$IPR11SaiJzWZXEdRe3wRBEwcAo6.KPjymRjiS3wCPx3", "too expensive"),
        ("{SMD5}c2FsdHNhbHRzYWx0", "the scheme {SMD5} is not known"),
        ("{SASL}bob@example.test", "the scheme {SASL} is not known"),
        ("{}", "the scheme {} is not known"),
    ] {
        let error = check(value, value).unwrap_err();
        assert!(error.contains(told), "{value}: {error}");
        // Nothing of the value but its scheme is repeated.
        assert!(!error.contains("salt"), "{error}");
    }
    assert_eq!(check(&"x".repeat(5000), "x"), Err("longer than any password".to_owned()));
    // Brace or not, what has no scheme is the password itself, octets and all.
    assert_eq!(check("{SSHA", "{SSHA"), Ok(true));
    assert!(StoredPassword::parse(b"\xff\xfe").unwrap().is(b"\xff\xfe"));
    // Malformed tails of known methods are no password, and no panic.
    for value in
        ["{CRYPT}$6$", "{CRYPT}$5$saltsalt$", "{CRYPT}$6$saltsalt$short", "{CRYPT}$y$j7T$saltsalt$", "{CRYPT}$2b$05$x"]
    {
        assert_eq!(check(value, ""), Ok(false), "{value}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_an_attribute_holds(scheme in "(SSHA|PBKDF2|PBKDF2_SHA256|ARGON2|CRYPT|SHA512)", rest in "(\\$[0-9a-z]{1,2}\\$)?[ -~]{0,40}") {
        let value = format!("{{{scheme}}}{rest}");
        if let Ok(stored) = StoredPassword::parse(value.as_bytes())
            // Costly ones are not run here.
            && !matches!(stored, StoredPassword::Pbkdf2 { .. } | StoredPassword::Argon2(_))
        {
            proptest::prop_assert!(!stored.is(b"password"));
        }
    }
}
