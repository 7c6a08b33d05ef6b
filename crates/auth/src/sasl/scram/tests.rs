use directory::{Allowance, Password, Person, ScramVerifier};
use proptest::prelude::*;

use super::*;

/// RFC 7677 section 3.
const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                      WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const BINDING: ChannelBinding = ChannelBinding([7; 32]);

fn right() -> PasswordMatch {
    let person = Person { user_id: "user".to_owned(), addresses: Vec::new(), send_as: Vec::new() };
    PasswordMatch::Right { person, allowance: Allowance::Allowed }
}

fn known(proved: PasswordMatch) -> ScramMatch {
    ScramMatch { verifier: ScramVerifier::parse(PENCIL).unwrap(), proved }
}

fn first(mechanism: Mechanism, text: &str, binding: Option<&ChannelBinding>) -> Result<ClientFirst, SaslError> {
    ClientFirst::read(mechanism, text, binding)
}

fn outcome(done: Result<Credentials, SaslError>) -> Result<PasswordMatch, SaslError> {
    done.map(|credentials| match credentials {
        Credentials::Scram { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    })
}

#[test]
fn the_example_of_rfc_7677() {
    let first = first(Mechanism::ScramSha256, &format!("n,,n=user,r={CLIENT_NONCE}"), None).unwrap();
    assert_eq!(first.user(), "user");
    let (text, challenged) = first.challenge_with(known(right()), SERVER_NONCE);
    assert_eq!(text, format!("r={CLIENT_NONCE}{SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    let last = format!("c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_eq!(
        challenged.read(&last),
        Ok(Credentials::Scram {
            mechanism: Mechanism::ScramSha256,
            user: "user".to_owned(),
            outcome: right(),
            server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned(),
        })
    );
}

/// A client as RFC 5802 section 3 has it, in other words than the server's.
struct Client {
    header: String,
    bound: Vec<u8>,
    bare: String,
}

impl Client {
    fn new(header: &str, bound: &[u8]) -> Self {
        let bound = [header.as_bytes(), bound].concat();
        Self { header: header.to_owned(), bound, bare: format!("n=user,r={CLIENT_NONCE}") }
    }

    fn first(&self) -> String {
        format!("{}{}", self.header, self.bare)
    }

    fn last(&self, challenge: &str, password: &[u8]) -> String {
        use aws_lc_rs::{digest, hmac, pbkdf2};
        let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
        let salt = BASE64.decode(part("s=")).unwrap();
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, part("i=").parse().unwrap(), &salt, password, &mut salted);
        let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let client_key = mac(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let without = format!("c={},r={}", BASE64.encode(&self.bound), part("r="));
        let said = format!("{},{challenge},{without}", self.bare);
        let signature = mac(stored_key.as_ref(), said.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        format!("{without},p={}", BASE64.encode(proof))
    }

    fn run(&self, mechanism: Mechanism, binding: Option<&ChannelBinding>) -> Result<PasswordMatch, SaslError> {
        let (text, challenged) = first(mechanism, &self.first(), binding)?.challenge(known(right())).unwrap();
        outcome(challenged.read(&self.last(&text, b"pencil")))
    }
}

#[test]
fn channel_binding_and_its_downgrade() {
    use Mechanism::{ScramSha256 as Bare, ScramSha256Plus as Plus};
    let refused = |outcome: &Result<PasswordMatch, SaslError>| matches!(outcome, Err(SaslError::ChannelBinding(_)));
    for (header, bound, mechanism, binding, expected) in [
        ("n,,", &b""[..], Bare, None, "right"),
        // A client that can't bind is served where -PLUS is offered, too.
        ("n,,", b"", Bare, Some(&BINDING), "right"),
        // It can, and saw no -PLUS where there is none; and where there is one.
        ("y,,", b"", Bare, None, "right"),
        ("y,,", b"", Bare, Some(&BINDING), "binding"),
        ("p=tls-exporter,,", &[7; 32], Plus, Some(&BINDING), "right"),
        ("p=tls-exporter,,", &[8; 32], Plus, Some(&BINDING), "binding"),
        ("p=tls-exporter,,", b"", Plus, Some(&BINDING), "binding"),
        ("p=tls-unique,,", &[7; 32], Plus, Some(&BINDING), "binding"),
        ("p=tls-server-end-point,,", &[7; 32], Plus, Some(&BINDING), "binding"),
        ("p=tls-exporter,,", &[7; 32], Plus, None, "binding"),
        ("p=tls-exporter,,", &[7; 32], Bare, Some(&BINDING), "malformed"),
        ("n,,", b"", Plus, Some(&BINDING), "malformed"),
        ("y,,", b"", Plus, Some(&BINDING), "malformed"),
        ("n,,", b"more", Bare, None, "binding"),
        ("x,,", b"", Bare, None, "malformed"),
        (",,", b"", Bare, None, "malformed"),
        ("n,a=user,", b"", Bare, None, "right"),
        ("n,a=other,", b"", Bare, None, "authorization"),
        ("n,b=user,", b"", Bare, None, "malformed"),
        ("n,a=,", b"", Bare, None, "malformed"),
    ] {
        let got = Client::new(header, bound).run(mechanism, binding);
        let told = match &got {
            Ok(PasswordMatch::Right { .. }) => "right",
            Err(SaslError::ChannelBinding(_)) => "binding",
            Err(SaslError::Authorization) => "authorization",
            Err(SaslError::Malformed(_)) => "malformed",
            other => panic!("{other:?}"),
        };
        assert_eq!(told, expected, "{header:?} {mechanism} {binding:?}");
        assert_eq!(refused(&got), expected == "binding");
    }
}

#[test]
fn a_proof_changes_right_and_nothing_else() {
    for (proved, password, expected) in [
        (right(), "pencil", right()),
        (right(), "pen", PasswordMatch::Wrong(WrongPassword::Mismatch)),
        (PasswordMatch::Disabled, "pencil", PasswordMatch::Disabled),
        (PasswordMatch::Disabled, "pen", PasswordMatch::Disabled),
        (PasswordMatch::Wrong(WrongPassword::UnknownUser), "pencil", PasswordMatch::Wrong(WrongPassword::UnknownUser)),
        (PasswordMatch::Wrong(WrongPassword::NoVerifier), "pen", PasswordMatch::Wrong(WrongPassword::NoVerifier)),
    ] {
        let client = Client::new("n,,", b"");
        let first = first(Mechanism::ScramSha256, &client.first(), None).unwrap();
        let (text, challenged) = first.challenge(known(proved)).unwrap();
        assert_eq!(outcome(challenged.read(&client.last(&text, password.as_bytes()))), Ok(expected));
    }
}

#[test]
fn nonces_are_new_each_time() {
    let challenge = || {
        let first = first(Mechanism::ScramSha256, "n,,n=user,r=x", None).unwrap();
        first.challenge(known(right())).unwrap().0
    };
    let (one, two) = (challenge(), challenge());
    assert!(one.starts_with("r=x") && one != two, "{one} {two}");
    assert_eq!(one.split(',').next().unwrap().len(), "r=x".len() + 24);
}

#[test]
fn what_is_no_first_message() {
    let long = format!("n,,n=user,r={}", "x".repeat(MAX_NONCE + 1));
    let name = format!("n,,n={},r=x", "x".repeat(MAX_NAME + 1));
    for text in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,n=user,",
        "n,,n=user,r=",
        "n,,r=x,n=user",
        "n,,m=x,n=user,r=x",
        "n,,n=,r=x",
        "n,,n=us=er,r=x",
        "n,,n=us=2,r=x",
        "n,,n=us=2c,r=x",
        "n,,n=a\u{7}b,r=x",
        "n,,n=user,r=a b",
        "n,,n=user,r=ü",
        &long,
        &name,
    ] {
        let got = first(Mechanism::ScramSha256, text, None).map(|_| ());
        assert!(matches!(got, Err(SaslError::Malformed(_))), "{text:?}: {got:?}");
    }
    for (text, user) in [
        ("n,,n=a=2Cb=3Dc,r=x", "a,b=c"),
        // RFC 4013 section 3: a soft hyphen goes, a wide letter becomes narrow, a composed one is composed.
        ("n,,n=I\u{AD}X,r=x", "IX"),
        ("n,,n=\u{FF21}lice,r=x", "Alice"),
        ("n,,n=u\u{308},r=x,ext=1", "ü"),
    ] {
        assert_eq!(first(Mechanism::ScramSha256, text, None).unwrap().user(), user);
    }
}

#[test]
fn what_is_no_last_message() {
    let client = Client::new("n,,", b"");
    let read = |change: &dyn Fn(String) -> String| {
        let first = first(Mechanism::ScramSha256, &client.first(), None).unwrap();
        let (text, challenged) = first.challenge(known(right())).unwrap();
        outcome(challenged.read(&change(client.last(&text, b"pencil"))))
    };
    assert_eq!(read(&|text| text), Ok(right()));
    let mismatch = Ok(PasswordMatch::Wrong(WrongPassword::Mismatch));
    // Another message than was proved: extensions are part of it.
    assert_eq!(read(&|text| text.replace(",p=", ",x=1,p=")), mismatch);
    assert_eq!(read(&|text| format!("{},p=QUJD", text.split(",p=").next().unwrap())), mismatch);
    for change in [
        &(|_| String::new()) as &dyn Fn(String) -> String,
        &|text| text.split(",p=").next().unwrap().to_owned(),
        &|text| text.replace(",p=", ",m=1,p="),
        &|text| text.replace("c=biws", "c=!"),
        &|text| text.replace("c=biws,", ""),
        &|text| text.replace("r=", "r=x"),
        &|text| text.replace(",p=", "x,p="),
        &|text| format!("{text}!"),
        &|text| format!("{text},x=1"),
    ] {
        assert!(matches!(read(change), Err(SaslError::Malformed(_))), "{}", change("c=biws,r=y,p=z".to_owned()));
    }
    assert!(matches!(read(&|text| text.replace("c=biws", "c=eSws")), Err(SaslError::ChannelBinding(_))));
}

#[test]
fn a_made_verifier_and_a_client_agree() {
    let verifier = ScramVerifier::make(&Password::new("Gr\u{fc}\u{df}e"), 4096.try_into().unwrap()).unwrap();
    let client = Client::new("n,,", b"");
    let first = first(Mechanism::ScramSha256, &client.first(), None).unwrap();
    let (text, challenged) = first.challenge(ScramMatch { verifier, proved: right() }).unwrap();
    assert_eq!(outcome(challenged.read(&client.last(&text, "Grüße".as_bytes()))), Ok(right()));
}

proptest! {
    /// Whatever comes, it is read or refused; and nothing but the proof of the password is one.
    #[test]
    fn any_text(one in ".{0,60}", two in ".{0,80}", plus in any::<bool>(), bind in any::<bool>()) {
        let mechanism = if plus { Mechanism::ScramSha256Plus } else { Mechanism::ScramSha256 };
        let binding = Some(BINDING).filter(|_| bind);
        let _ = first(mechanism, &one, binding.as_ref());
        let start = if plus { "p=tls-exporter,,n=user,r=x" } else { "n,,n=user,r=x" };
        if let Ok(first) = first(mechanism, start, binding.as_ref()) {
            let (_, challenged) = first.challenge(known(right())).unwrap();
            let proved = matches!(outcome(challenged.read(&two)), Ok(PasswordMatch::Right { .. }));
            prop_assert!(!proved);
        }
    }
}
