use proptest::prelude::*;

use super::*;
use crate::filter::Entry;

fn parse(text: &str) -> Template {
    Template::parse(text, Query::Certificate).unwrap()
}

fn faults(text: &str) -> String {
    Template::parse(text, Query::SmtpAuth).unwrap_err().to_string()
}

fn jane() -> Tokens {
    let mut tokens = Tokens::new();
    tokens.set(Token::CommonName, "DOE.JANE.A.1234567890");
    tokens.set(Token::SerialHex, "0fa1");
    tokens.set_now("2026-11-24T08:00:00Z".parse().unwrap());
    tokens
}

fn entry() -> Entry {
    let mut entry = Entry::default();
    entry.add("uid", ["alice"]);
    entry.add("caccn", ["Doe.Jane.A.1234567890", "Roe.Jane"]);
    entry.add("cacSerial", ["0FA1"]);
    entry.add("cacemergency", ["202611240130-1200"]);
    entry.add("rooms", ["9", "100"]);
    entry.add("o", ["  Example   Inc  "]);
    entry
}

#[test]
fn written_out_with_every_value_escaped() {
    for (template, rendered) in [
        ("(caccn={cn})", "(caccn=DOE.JANE.A.1234567890)"),
        ("(&(caccn={cn})(cacserial={sn:hex}))", "(&(caccn=DOE.JANE.A.1234567890)(cacserial=0fa1))"),
        ("(|(!(x=*))(y>={t})(z<=5)(w~=v))", "(|(!(x=*))(y>=20261124080000.0Z)(z<=5)(w~=v))"),
        ("(cn=a*{sn:hex}*\\2a*z)", "(cn=a*0fa1*\\2a*z)"),
        ("(cn=*b*)", "(cn=*b*)"),
        ("(cn=)", "(cn=)"),
        ("(cn=Jürgen\\00)", "(cn=J\\c3\\bcrgen\\00)"),
        ("(userAccountControl:1.2.840.113556.1.4.803:=2)", "(userAccountControl:1.2.840.113556.1.4.803:=2)"),
        ("(ou:dn:caseExactMatch:=x=y)", "(ou:dn:caseExactMatch:=x=y)"),
        ("(:caseExactMatch:=x)", "(:caseExactMatch:=x)"),
        ("(ou:dn:=x)", "(ou:dn:=x)"),
        ("(userCertificate;binary=\\30\\82)", "(userCertificate;binary=0\\82)"),
        ("(2.5.4.3=x}y)", "(2.5.4.3=x}y)"),
        (" ( & \n (a=b) (c=d)\t) ", "(&(a=b)(c=d))"),
    ] {
        assert_eq!(parse(template).resolve(&jane()).unwrap().to_string(), rendered, "{template}");
    }
}

#[test]
fn evaluated_here() {
    for (template, expected) in [
        ("(caccn={cn})", true),
        ("(CACCN={cn})", true),
        ("(&(caccn={cn})(cacserial={sn:hex}))", true),
        ("(&(caccn={cn})(cacserial=0fa2))", false),
        ("(|(uid=bob)(uid=ALICE))", true),
        ("(!(uid=bob))", true),
        ("(o=example inc)", true),
        ("(o~=Example  Inc)", true),
        ("(caccn=*)", true),
        // An attribute that the entry lacks: Undefined, taken as false.
        ("(cacexempt=*)", false),
        ("(cacexempt=yes)", false),
        ("(cacexempt>=0)", false),
        ("(cacexempt<=0)", false),
        ("(cacexempt=*y*)", false),
        ("(!(cacexempt=*))", true),
        ("(!(cacexempt>=0))", true),
        // 01:30 at -12:00 is 13:30 UTC.
        ("(cacemergency>={t})", true),
        ("(cacemergency<={t})", false),
        ("(cacemergency>=20261124133001Z)", false),
        ("(uid>={t})", false),
        ("(rooms>=10)", true),
        ("(rooms<=8)", false),
        ("(uid>=alicd)", true),
        ("(uid>=alicf)", false),
        ("(caccn=doe.*.1234567890)", true),
        ("(caccn=doe.*jane*a*)", true),
        ("(caccn=*jane*doe*)", false),
        ("(caccn=*roe.jane)", true),
        // Parts do not overlap (RFC 4511 section 4.5.1.7.2).
        ("(uid=ali*lice)", false),
        ("(uid=alice*alice)", false),
        ("(uid=*ice*)", true),
        ("(uid=ali*ce)", true),
        ("(o=example*inc)", true),
        ("(o=*example inc*)", true),
        ("(uid=al\\2a)", false),
        ("(uid=\\ff)", false),
    ] {
        let filter = parse(template).resolve(&jane()).unwrap();
        assert_eq!(filter.matches(&entry()), expected, "{template}");
    }
}

#[test]
fn a_token_without_value_matches_nobody_wherever_it_stands() {
    for template in ["(uid={upn})", "(!(uid={upn}))", "(|(uid=alice)(uid={upn}))", "(uid=*{upn}*)", "(uid>={upn})"] {
        let error = parse(template).resolve(&jane()).unwrap_err();
        assert_eq!(error, NoValue::Absent(Token::Upn), "{template}");
    }
}

#[test]
fn faults_say_where_and_what_would_be_right() {
    for (template, expected) in [
        ("", "at character 1: \"(\" is missing: a filter stands in parentheses, as (uid={u})"),
        ("uid={u}", "at character 1: \"(\" is missing: a filter stands in parentheses, as (uid={u})"),
        ("(uid={u}", "at character 9: \")\" is missing: the \"(\" at character 1 is not closed"),
        ("(uid={u}))", "at character 10: the filter is closed already; this is too much"),
        ("(uid={u})(x=y)", "at character 10: a second filter: join them as (&(…)(…)) or (|(…)(…))"),
        ("(uid={x})", "at character 6: unknown token {x}; known here are {u} {d} {a} {t} {t:filetime}"),
        (
            "(é={cn})",
            "at character 2: \"é\" is no attribute name: letters, digits and \"-\", or an OID; at character 4: {cn} \
             never has a value in an SMTP AUTH query, an allowance or a recipient query; known here are {u} {d} {a} {t} {t:filetime}",
        ),
        ("(uid={u)", "at character 6: \"}\" is missing; a literal \"{\" is written \\7b"),
        ("(uid=a\\zz)", "at character 7: \"\\\" is followed by two hexadecimal digits; a literal one is \\5c"),
        ("(uid=a**b)", "at character 8: two asterisks in a row; a literal one is written \\2a"),
        ("(uid>=a*)", "at character 8: an asterisk has no place here; a literal one is written \\2a"),
        ("(=x)", "at character 2: the attribute's name is missing"),
        ("(u id=x)", "at character 2: \"u id\" is no attribute name: letters, digits and \"-\", or an OID"),
        ("(&)", "at character 2: no filter follows: (&(…)(…))"),
        ("(!(a=b)(c=d))", "at character 8: \"!\" takes one filter: write (!(&(…)(…))) or (!(|(…)(…)))"),
        (
            "(cn=a(b)c)",
            "at character 6: a \"(\" within a value is written \\28; at character 9: the filter is closed already; this is too much",
        ),
        ("(a:b:c:=d)", "at character 2: an extensible match is (attribute:rule:=value) or (attribute:dn:rule:=value)"),
        ("(a::=d)", "at character 2: the attribute's name is missing"),
        ("(:=d)", "at character 2: an extensible match is (attribute:rule:=value) or (attribute:dn:rule:=value)"),
        ("(&(a=b)c)", "at character 8: \")\" is expected here, for the \"(\" at character 1"),
    ] {
        assert_eq!(faults(template), expected, "{template}");
    }
}

#[test]
fn the_sample_of_vendor_manuals_has_two_faults() {
    let sample = "(&(objectClass-posixAccount)(caccn={cn})(cacserial={sn})";
    assert_eq!(
        Template::parse(sample, Query::Certificate).unwrap_err().to_string(),
        "at character 4: no \"=\" in \"objectClass-posixAccount\": an item is (attribute=value); \
         at character 57: \")\" is missing: the \"(\" at character 1 is not closed"
    );
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = |n: usize| format!("{}(a=b){}", "(!".repeat(n), ")".repeat(n));
    assert!(Template::parse(&deep(31), Query::Certificate).is_ok());
    assert!(faults(&deep(32)).contains("more than 32 filters"));
    assert!(faults(&deep(5000)).contains("more than 32 filters"));
    assert!(faults(&format!("(a={})", "x".repeat(16 * 1024))).contains("longer than"));
}

#[test]
fn what_a_people_file_can_not_do() {
    assert_eq!(parse("(uid={cn})").needs_server(), None);
    assert!(parse("(&(a=b)(!(c:x:={cn})))").needs_server().unwrap().contains(":="));
    assert!(parse("(userCertificate;binary={cert})").needs_server().unwrap().contains("{cert}"));
}

/// The shape of a filter, without its values.
fn shape(filter: &Filter) -> Filter<()> {
    filter.try_map(&mut |_: &Vec<u8>| Ok::<_, ()>(())).unwrap()
}

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused(text in ".{0,200}") {
        let _ = Template::parse(&text, Query::Certificate);
    }

    #[test]
    fn texts_like_filters_are_compiled_or_refused(text in "[(){}&|!=<>~:*\\\\a2 ]{0,60}") {
        let _ = Template::parse(&text, Query::SmtpAuth);
    }

    /// The written filter, read again, is the filter: no value can break out of its place.
    #[test]
    fn no_value_changes_a_filters_shape(value in proptest::collection::vec(any::<u8>(), 1..60)) {
        let template = parse("(&(caccn={cn})(|(x=*{cn}*)(y>={cn})(!(z~=a{cn}))(w:r:={cn})))");
        let mut tokens = Tokens::new();
        tokens.set(Token::CommonName, value);
        if let Ok(filter) = template.resolve(&tokens) {
            let text = filter.to_string();
            // A token's braces are a template's syntax, not RFC 4515's.
            let again = parse(&text.replace('{', "\\7b")).resolve(&Tokens::new()).unwrap();
            prop_assert_eq!(&again, &filter);
            let mut harmless = Tokens::new();
            harmless.set(Token::CommonName, "x");
            prop_assert_eq!(shape(&filter), shape(&template.resolve(&harmless).unwrap()));
        }
    }

    #[test]
    fn a_hostile_value_matches_only_itself(value in "[*()\\\\{}a-c\u{0} ]{1,12}") {
        prop_assume!(crate::comparison::fold(&value) != "alice");
        let mut tokens = Tokens::new();
        tokens.set(Token::CommonName, value.as_str());
        if let Ok(filter) = parse("(uid={cn})").resolve(&tokens) {
            prop_assert!(!filter.matches(&entry()));
        }
    }
}

/// Those that are built here are what their text says.
#[test]
fn the_logins_that_are_usual() {
    for usual in [LoginTemplate::default(), LoginTemplate::active_directory()] {
        assert_eq!(LoginTemplate::try_from(usual.0.to_string()), Ok(usual));
    }
}
