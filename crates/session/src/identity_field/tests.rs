use std::os::unix::fs::PermissionsExt as _;

use auth::{Mechanism, Principal};

use super::*;

const SECTION: &str = "Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nFrom: Alice <alice@example.mil>\r\nTo: bob@example.net\r\n\
                       Subject: the field\r\n of honour\r\nMessage-ID: <1@example.mil>\r\nX-Mailer: x\r\n\r\n";

fn statement<'s>(edit: impl FnOnce(&mut Identified, &mut Statement<'s>)) -> IdentityField {
    let principal = Principal { user_id: "alice".to_owned(), addresses: vec![], send_as: vec![] };
    let mut identity = Identified { principal, mechanism: Some(Mechanism::External) };
    let sender: &ReversePath = Box::leak(Box::new("<alice@example.mil>".parse().unwrap()));
    let other: &Identified = Box::leak(Box::new(identity.clone()));
    let mut statement = Statement {
        hostname: "mail.example.mil",
        id: "0A1",
        at: Timestamp::from_millisecond(1_795_507_200_900).unwrap(),
        identity: other,
        sender,
        certificate_subject: None,
    };
    edit(&mut identity, &mut statement);
    IdentityField::new(&Statement { identity: &identity, ..statement })
}

fn key() -> (IdentityKey, IdentityPublicKey) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let public = IdentityPublicKey(SubjectPublicKeyInfoDer::from(der.as_ref().to_vec()));
    (IdentityKey(pair), public)
}

#[test]
fn what_it_says() {
    let field = statement(|_, _| ());
    assert_eq!(
        field.write(None, b"").unwrap(),
        "Postern-Identity: v=1;\r\n\thost=mail.example.mil;\r\n\tid=0A1;\r\n\ttime=2026-11-24T08:00:00Z;\r\n\tuser=alice;\r\n\
         \thow=EXTERNAL;\r\n\tsender=<alice@example.mil>\r\n"
    );
    let by_certificate = statement(|identity, statement| {
        identity.mechanism = None;
        identity.principal.user_id = "a;how=PLAIN+1\r\nX: ü".to_owned();
        statement.certificate_subject = Some("CN=Alice; x,O=Example");
        statement.sender = &ReversePath::Null;
    });
    let text = by_certificate.write(None, b"").unwrap();
    assert!(
        text.contains("\tuser=a+3Bhow+3DPLAIN+2B1+0D+0AX:+20+C3+BC;\r\n\thow=certificate;\r\n\tsender=<>;\r\n"),
        "{text}"
    );
    let tags = by_certificate.tags();
    assert_eq!(tags[4], ("user".to_owned(), "a;how=PLAIN+1\r\nX: ü".to_owned()));
    assert_eq!(tags[7], ("subject".to_owned(), "CN=Alice; x,O=Example".to_owned()));
    let long = "ü".repeat(5000);
    let long = statement(|_, statement| statement.certificate_subject = Some(&long));
    assert!(long.write(None, b"").unwrap().lines().all(|line| line.len() < 998));
    let (key, public) = key();
    let message = long.write(Some(&key), b"\r\n").unwrap();
    assert_eq!(IdentityField::verify(message.as_bytes(), &public), Ok(long));
}

#[test]
fn it_holds_for_its_message_only() {
    let (key, public) = key();
    let field = statement(|_, _| ());
    let signed = field.write(Some(&key), SECTION.as_bytes()).unwrap();
    let message = format!("Received: x\r\n{signed}{SECTION}body\r\n");
    let verify = |message: &str| IdentityField::verify(message.as_bytes(), &public);
    assert_eq!(verify(&message), Ok(field.clone()));
    // What hops on the way do.
    for harmless in [
        message.replace("\r\n", "\n"),
        message.replace("X-Mailer: x\r\n", ""),
        message.replace("Subject: the field\r\n of honour", "subject:the field of  honour"),
        message.replace(";\r\n\t", "; "),
        message.replace("Received: x", "Received: y\r\nReceived: x"),
        message.replace("body", "From: somebody else"),
        message.replace("Postern-Identity", "POSTERN-identity"),
    ] {
        assert_eq!(verify(&harmless), Ok(field.clone()), "{harmless}");
    }
    let forged = Err(IdentityError::Forged);
    for (changed, expected) in [
        (message.replace("user=alice", "user=bob"), forged.clone()),
        (message.replace("EXTERNAL", "PLAIN"), forged.clone()),
        (message.replace("id=0A1", "id=0A2"), forged.clone()),
        (message.replace("08:00:00Z", "08:00:01Z"), forged.clone()),
        (message.replace("sender=<alice@", "sender=<bob@"), forged.clone()),
        (message.replace("host=mail", "host=evil"), forged.clone()),
        (message.replace("\tsig=", "\tsubject=CN;\r\n\tsig="), forged.clone()),
        (message.replace("From: Alice", "From: Bob"), forged.clone()),
        (message.replace("To: bob", "To: carol"), forged.clone()),
        (message.replace("of honour", "of horror"), forged.clone()),
        (message.replace("08:00:00 +0000", "08:00:01 +0000"), forged.clone()),
        (message.replace("<1@", "<2@"), forged.clone()),
        (message.replace("X-Mailer: x", "Cc: carol@example.net"), forged.clone()),
        (message.replace("X-Mailer: x", "From: bob@example.net"), forged.clone()),
        (message.replace("X-Mailer: x", "Sender: bob@example.net"), forged.clone()),
        (format!("{signed}{message}"), Err(IdentityError::Several)),
        (SECTION.to_owned(), Err(IdentityError::Missing)),
        (format!("{}{SECTION}", field.write(None, SECTION.as_bytes()).unwrap()), Err(IdentityError::Unsigned)),
        (message.replace("\tsig=", "\tsig=%"), Err(IdentityError::Malformed)),
    ] {
        assert_ne!(changed, message);
        assert_eq!(verify(&changed), expected, "{changed}");
    }
    let (other, _) = self::key();
    let foreign = format!("{}{SECTION}", field.write(Some(&other), SECTION.as_bytes()).unwrap());
    assert_eq!(verify(&foreign), forged);
}

#[test]
fn keys_by_openssl() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let openssl = |arguments: &str| {
        let mut command = std::process::Command::new("openssl");
        let output = command.current_dir(&folder).args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    openssl("genpkey -algorithm ED25519 -out key.pem");
    openssl("genpkey -algorithm X25519 -out other.pem");
    for name in ["key.pem", "other.pem"] {
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let key = IdentityKey::load(&path("key.pem")).unwrap();
    assert_eq!(key.public_pem().unwrap(), openssl("pkey -in key.pem -pubout"));
    assert_eq!(format!("{key:?}"), "IdentityKey");
    assert!(IdentityKey::load(&path("other.pem")).unwrap_err().contains("not an Ed25519 key in PKCS#8"));
    std::fs::write(path("public.pem"), key.public_pem().unwrap()).unwrap();
    std::fs::write(path("other.public.pem"), openssl("pkey -in other.pem -pubout")).unwrap();
    assert!(IdentityPublicKey::load(&path("public.pem")).is_ok());
    let refused = IdentityPublicKey::load(&path("other.public.pem")).unwrap_err();
    assert!(refused.contains("not the public key of an Ed25519 key"), "{refused}");
    assert!(IdentityPublicKey::load(&path("key.pem")).is_err());
}
