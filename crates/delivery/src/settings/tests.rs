//! What administrators write, and what they are told.

use super::*;

fn route(toml: &str) -> Result<RouteSettings, String> {
    #[derive(Debug, Deserialize)]
    struct File {
        route: RouteSettings,
    }
    let file: Result<File, _> = toml::from_str(&format!("[route]\n{toml}\n"));
    file.map(|file| file.route).map_err(|error| error.message().to_owned())
}

#[test]
fn a_short_route_has_safe_defaults() {
    let route = route("domains = ['*']\nhosts = ['mx.example.org']").unwrap();
    assert_eq!(route.tls, TlsMode::Verify);
    let Hosts::Listed(hosts) = route.hosts.get_ref() else { panic!("{:?}", route.hosts) };
    assert_eq!(hosts[0].host.to_string(), "mx.example.org:25");
    assert_eq!(route.timeouts.end, Duration::from_secs(600));
    assert!(!*route.implicit_tls.get_ref());
}

#[test]
fn patterns() {
    let pattern = |text: &str| DomainPattern::try_from(text.to_owned()).unwrap();
    let table = [
        ("*", "example.org", true),
        ("*", "[192.0.2.1]", true),
        ("example.org", "EXAMPLE.org", true),
        ("example.org", "mail.example.org", false),
        ("example.org", "example.com", false),
        (".example.org", "mail.example.org", true),
        (".example.org", "a.b.EXAMPLE.ORG", true),
        (".example.org", "example.org", false),
        (".example.org", "badexample.org", false),
        (".example.org", "x.org", false),
        (".bücher.example", "laden.BÜCHER.example", true),
    ];
    for (text, domain, expected) in table {
        assert_eq!(pattern(text).matches(&Domain::parse(domain).unwrap()), expected, "{text} {domain}");
    }
    for text in ["", ".", "..example.org", "*.example.org", "a b"] {
        assert!(DomainPattern::try_from(text.to_owned()).is_err(), "{text}");
    }
}

#[test]
fn mistakes_are_explained() {
    let table = [
        ("hosts = ['a']", "missing field `domains`"),
        ("domains = ['*']\nhosts = ['a']\ntsl = 'may'", "unknown field `tsl`"),
        ("domains = ['*']\nhosts = ['a']\ntls = 'danish'", "or \"mta-sts\""),
        ("domains = ['*']\nhosts = ['a']\ntls = 'yes'", "is not a TLS mode"),
        ("domains = ['*']\nhosts = ['a:b']", "is not a host such as"),
        ("domains = ['*']\nhosts = 'a'", "hosts such as"),
        ("domains = ['*']\nhosts = [25]", "a host such as"),
        ("domains = ['*']\nhosts = ['mx', 'a']", "\"mx\" stands alone"),
        ("domains = ['*']\nhosts = [{ host = 'a', weight = 0 }]", "a weight is at least 1"),
        ("domains = ['*']\nhosts = [{ host = 'a', wieght = 2 }]", "unknown field `wieght`"),
        ("domains = ['*']\nhosts = ['a']\nsource = ['mx']", "invalid IP address"),
        ("domains = ['a..b']\nhosts = ['a']", "is not \"*\", a domain"),
        ("domains = ['*']\nhosts = ['a']\nkeep_open = 'long'", "is not a duration such as"),
        ("domains = ['*']\nhosts = ['a']\ntimeouts = { conect = '1s' }", "unknown field `conect`"),
    ];
    for (toml, expected) in table {
        let found = route(toml).unwrap_err();
        assert!(found.contains(expected), "{toml}:\n{found}");
    }
}

#[test]
fn hosts() {
    let hosts = |text: &str| route(&format!("domains = ['*']\nhosts = {text}")).unwrap().hosts.into_inner();
    let listed = |host: &str, priority, weight| ListedHost { host: host.parse().unwrap(), priority, weight };
    assert_eq!(hosts("['mx']"), Hosts::Mx { port: 25 });
    assert_eq!(hosts("['mx:2525']"), Hosts::Mx { port: 2525 });
    // No port follows: a host of this name.
    assert_eq!(hosts("['mx1']"), Hosts::Listed(vec![listed("mx1", 10, 1)]));
    assert_eq!(
        hosts("['a', { host = 'b:26', weight = 3, priority = 15 }, { host = 'c' }]"),
        Hosts::Listed(vec![listed("a", 10, 1), listed("b:26", 15, 3), listed("c", 30, 1)])
    );
}
