//! Is the password theirs, and enough? Against slapd.

use crate::bed::{SUFFIX, Slapd};

const ALLOWANCE: &str =
    "[smtp_auth_query]\nallowance = \"(&(uid={u})(|(!(caccn=*))(cacexempt=*)(cacemergency>={t})))\"\n";

#[tokio::test]
async fn by_bind() {
    let slapd = Slapd::start();
    let bed = slapd.directory("", "");
    for (user, password, expected) in [
        ("alice", "alice-pw", "alice NotConfigured"),
        ("ALICE", "alice-pw", "alice NotConfigured"),
        ("alice@example.mil", "alice-pw", "alice NotConfigured"),
        ("CORP\\alice", "alice-pw", "alice NotConfigured"),
        ("bob", "bob-pw", "bob NotConfigured"),
        ("carol", "carol-pw", "carol NotConfigured"),
        ("weird", "weird-pw", "weird NotConfigured"),
        ("alice", "bob-pw", "wrong password"),
        ("alice", "Alice-pw", "wrong password"),
        ("alice", "", "empty password"),
        ("zoe", "", "empty password"),
        ("zoe", "zoe-pw", "unknown user"),
        ("", "x", "unknown user"),
        ("*", "alice-pw", "unknown user"),
        ("alice)(uid=*", "alice-pw", "unknown user"),
        ("nopw", "x", "wrong password"),
        // In another base.
        ("ivan", "ivan-pw", "unknown user"),
    ] {
        assert_eq!(bed.password(user, password).await, expected, "{user:?} {password:?}");
    }
    // No bind without a password ever left: slapd logs each bind's name.
    assert_eq!(slapd.logged("BIND dn=\"\""), 0);
    let both = slapd.directory("", "[smtp_auth_query]\nfilter = \"(|(uid={u})(sn=One))\"\n");
    assert_eq!(both.password("alice", "alice-pw").await, "the user name matches several people");
}

#[tokio::test]
async fn the_allowance_of_the_how_to() {
    let slapd = Slapd::start();
    let bed = slapd.directory("", ALLOWANCE);
    for (user, allowed) in [
        ("alice", false),
        ("bob", false),
        ("carol", false),
        ("dave", true),
        ("erin", true),
        ("frank", false),
        ("grace", true),
        // By instant, not by text: it ended at 23:30Z.
        ("heidi", false),
    ] {
        let expected = format!("{user} {}", if allowed { "Allowed" } else { "NotAllowed" });
        assert_eq!(bed.password(user, &format!("{user}-pw")).await, expected);
        assert_eq!(bed.password(user, "wrong").await, "wrong password", "{user}");
        assert_eq!(bed.presume(user).await, expected);
    }
    assert_eq!(bed.presume("zoe").await, "unknown user");
    // A domain that was not typed: nobody is allowed, and no filter has a hole.
    let by_domain = slapd.directory("", "[smtp_auth_query]\nallowance = \"(!(mail=*@{d}))\"\n");
    assert_eq!(by_domain.password("alice", "alice-pw").await, "alice NotAllowed");
    assert_eq!(by_domain.password("alice@example.test", "alice-pw").await, "alice NotAllowed");
    assert_eq!(by_domain.password("alice@example.org", "alice-pw").await, "alice Allowed");
}

#[tokio::test]
async fn by_the_password_attribute() {
    let slapd = Slapd::start();
    let bed = slapd.directory("", "[smtp_auth_query]\nmethod = { password_attribute = \"userPassword\" }\n");
    for (user, password, expected) in [
        ("alice", "alice-pw", "alice NotConfigured"),
        ("bob", "bob-pw", "bob NotConfigured"),
        ("carol", "carol-pw", "carol NotConfigured"),
        ("alice", "x", "wrong password"),
        ("alice", "", "empty password"),
        ("nopw", "x", "the person has no password"),
        ("zoe", "alice-pw", "unknown user"),
    ] {
        assert_eq!(bed.password(user, password).await, expected, "{user:?} {password:?}");
    }
    // A verification each, the unknown user's and the empty-handed person's too; the empty password had none.
    assert_eq!(bed.0.verifications(), 6);
    assert_eq!(slapd.logged("BIND dn=\"uid="), 0);
}

#[tokio::test]
async fn scram_by_an_attribute() {
    let slapd = Slapd::start();
    let query = "[smtp_auth_query]\nscram_attribute = \"userPassword\"\nfilter = \"(uid={u})\"\n";
    let bed = slapd.directory("", &format!("{query}allowance = \"(!(cacexempt=*))\"\n"));
    assert!(bed.0.holds_scram());
    // Before anybody's was seen, it is a usual one.
    assert_eq!(bed.scram("zoe").await, (16, 100_000, "unknown user".to_owned()));
    for (user, expected) in [
        ("grace", "grace Allowed"),
        ("GRACE@example.mil", "grace Allowed"),
        ("alice", "the person has no SCRAM-SHA-256 verifier"),
        ("nopw", "the person has no SCRAM-SHA-256 verifier"),
        ("zoe", "unknown user"),
        ("*", "unknown user"),
    ] {
        assert_eq!(bed.scram(user).await, (12, 5000, expected.to_owned()), "{user}");
    }
    assert_eq!(bed.token("dave").await, "dave NotAllowed");
    assert_eq!(bed.token("alice@anywhere").await, "alice Allowed");
    assert_eq!(bed.token("zoe").await, "unknown user");
    // No proof is the server's to judge.
    assert_eq!(slapd.logged("BIND dn=\"uid="), 0);
    let without = slapd.directory("", "");
    assert!(!without.0.holds_scram());
    let by_attribute = slapd.directory("", &format!("{query}method = {{ password_attribute = \"userPassword\" }}\n"));
    assert_eq!(by_attribute.password("grace", "grace-pw").await, "grace NotConfigured");
}

#[tokio::test]
async fn domains_choose_the_base() {
    let slapd = Slapd::start();
    let bed = slapd.directory(&format!("base = [\"ou={{d}},{SUFFIX}\", \"ou=people,{SUFFIX}\"]"), "");
    assert_eq!(bed.password("ivan@contractors", "ivan-pw").await, "ivan NotConfigured");
    assert_eq!(bed.password("alice@contractors", "alice-pw").await, "alice NotConfigured");
    assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
    assert_eq!(bed.password("ivan", "ivan-pw").await, "unknown user");
    assert_eq!(bed.password("ivan@people,ou=x", "ivan-pw").await, "unknown user");
}

/// An unknown user goes through the same steps as a wrong password: the same searches, and a bind.
#[tokio::test]
async fn steps_do_not_tell_who_exists() {
    let slapd = Slapd::start();
    let bed = slapd.directory("", ALLOWANCE);
    bed.password("alice", "wrong").await;
    let steps = |slapd: &Slapd| (slapd.logged("SRCH base="), slapd.logged("BIND dn="));
    let mut counted = Vec::new();
    for user in ["alice", "zoe", "grace", "twin1", "zoe"] {
        let (searches, binds) = steps(&slapd);
        let answer = bed.password(user, "wrong").await;
        assert!(["wrong password", "unknown user"].contains(&answer.as_str()), "{answer}");
        let after = steps(&slapd);
        counted.push((after.0 - searches, after.1 - binds));
    }
    assert!(counted.iter().all(|count| *count == (2, 1)), "{counted:?}");
}
