//! What servers say of accounts: whether one is closed, and what the code of a failed bind means. Each family has its own
//! words for it.

use crate::answers::WrongPassword;
use crate::ldap::message::{Ended, FoundEntry};
use crate::tokens::{FILETIME_EPOCH, FILETIME_STEPS};

/// Asked of every entry. Servers leave out what they do not know.
pub(crate) const STATE_ATTRIBUTES: [&str; 4] =
    ["userAccountControl", "accountExpires", "nsAccountLock", "pwdAccountLockedTime"];

/// ADS_UF_ACCOUNTDISABLE
const ACCOUNT_DISABLE: i64 = 0x2;
/// Accounts of this attribute were locked by an administrator, for good (draft-behera-ldap-password-policy section 5.3.3).
const LOCKED_FOR_GOOD: &str = "000001010000Z";

/// Why the account is closed, in words; `None`: it is open.
pub(crate) fn closed(entry: &FoundEntry, now: jiff::Timestamp) -> Option<String> {
    let number = |attribute: &str| entry.texts(attribute).next().and_then(|text| text.parse::<i64>().ok());
    // Active Directory.
    if let Some(control) = number("userAccountControl")
        && control & ACCOUNT_DISABLE != 0
    {
        return Some(format!("is disabled (userAccountControl {control})"));
    }
    if let Some(expires) = number("accountExpires") {
        // Steps of 100 ns; 0 and the largest mean never.
        let instant = expires.div_euclid(FILETIME_STEPS).saturating_sub(FILETIME_EPOCH);
        if expires != 0 && expires != i64::MAX && instant <= now.as_second() {
            return Some(format!("has expired (accountExpires {expires})"));
        }
    }
    // 389 and Oracle.
    if entry.texts("nsAccountLock").any(|locked| locked.eq_ignore_ascii_case("true")) {
        return Some("is locked (nsAccountLock)".to_owned());
    }
    // OpenLDAP's ppolicy: only the lock that no time ends; the others end by rules that the server knows.
    if entry.texts("pwdAccountLockedTime").any(|locked| locked == LOCKED_FOR_GOOD) {
        return Some("is locked (pwdAccountLockedTime)".to_owned());
    }
    None
}

/// What a bind as a person came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BindResult {
    Right,
    Wrong(WrongPassword),
    Disabled,
    /// It says nothing of the password.
    Unclear,
}

/// The password is right and must be changed (Netscape's control, which 389 and Oracle send).
const PASSWORD_EXPIRED_CONTROL: &str = "2.16.840.1.113730.3.4.4";

/// Reads a bind's result.
pub(crate) fn bind_result(ended: &Ended) -> BindResult {
    use BindResult::{Disabled, Right, Unclear, Wrong};
    let expired = ended.controls.iter().any(|control| control == PASSWORD_EXPIRED_CONTROL);
    match ended.code {
        0 if expired => Wrong(WrongPassword::MustChange),
        0 => Right,
        49 if expired => Wrong(WrongPassword::PasswordExpired),
        49 => sub_code(&ended.text),
        // 389: the entry has no password.
        48 => Wrong(WrongPassword::NoPassword),
        // 389 and Oracle: too many wrong passwords.
        19 => Wrong(WrongPassword::Locked),
        // 389 and Oracle: "Account inactivated. Contact system administrator."
        53 if ended.text.contains("inactivated") => Disabled,
        // The entry went away between search and bind.
        32 => Wrong(WrongPassword::UnknownUser),
        _ => Unclear,
    }
}

/// Active Directory's `… AcceptSecurityContext error, data 533, v1db1`: system error codes in hexadecimal.
fn sub_code(text: &str) -> BindResult {
    let after = text.split_once("data ").map_or("", |(_, after)| after);
    let code: String = after.chars().take_while(char::is_ascii_hexdigit).collect();
    BindResult::Wrong(match code.to_ascii_lowercase().as_str() {
        "533" => return BindResult::Disabled,
        "525" => WrongPassword::UnknownUser,
        "530" | "531" => WrongPassword::NotNow,
        "532" => WrongPassword::PasswordExpired,
        "701" => WrongPassword::AccountExpired,
        "773" => WrongPassword::MustChange,
        "775" => WrongPassword::Locked,
        _ => WrongPassword::Mismatch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts() {
        let now: jiff::Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        for (attribute, value, expected) in [
            ("userAccountControl", "512", false),
            ("userAccountControl", "514", true),
            ("USERACCOUNTCONTROL", "66050", true),
            ("accountExpires", "0", false),
            ("accountExpires", "9223372036854775807", false),
            // 2022 and 2026-11-24T08:00:00Z, a second around it.
            ("accountExpires", "133000000000000000", true),
            ("accountExpires", "134399808000000000", true),
            ("accountExpires", "134399808010000000", false),
            ("accountExpires", "-5", true),
            ("accountExpires", "soon", false),
            ("nsAccountLock", "TRUE", true),
            ("nsAccountLock", "false", false),
            ("pwdAccountLockedTime", "000001010000Z", true),
            ("pwdAccountLockedTime", "20261124075000Z", false),
        ] {
            let attributes = vec![(attribute.to_owned(), vec![value.as_bytes().to_vec()])];
            let entry = FoundEntry { dn: "cn=x".to_owned(), attributes };
            assert_eq!(closed(&entry, now).is_some(), expected, "{attribute} {value}");
        }
    }

    #[test]
    fn binds() {
        let ad = |data: &str| {
            format!("80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1")
        };
        use BindResult::{Disabled, Right, Unclear, Wrong};
        for (code, text, control, expected) in [
            (0, String::new(), false, Right),
            (0, String::new(), true, Wrong(WrongPassword::MustChange)),
            (49, String::new(), false, Wrong(WrongPassword::Mismatch)),
            (49, "password expired!".to_owned(), true, Wrong(WrongPassword::PasswordExpired)),
            (49, ad("52e"), false, Wrong(WrongPassword::Mismatch)),
            (49, ad("525"), false, Wrong(WrongPassword::UnknownUser)),
            (49, ad("530"), false, Wrong(WrongPassword::NotNow)),
            (49, ad("532"), false, Wrong(WrongPassword::PasswordExpired)),
            (49, ad("533"), false, Disabled),
            (49, ad("701"), false, Wrong(WrongPassword::AccountExpired)),
            (49, ad("773"), false, Wrong(WrongPassword::MustChange)),
            (49, ad("775"), false, Wrong(WrongPassword::Locked)),
            (48, String::new(), false, Wrong(WrongPassword::NoPassword)),
            (19, "Exceed password retry limit.".to_owned(), false, Wrong(WrongPassword::Locked)),
            (53, "Account inactivated. Contact system administrator.".to_owned(), false, Disabled),
            (53, "unauthenticated bind (DN with no password) disallowed".to_owned(), false, Unclear),
            (8, String::new(), false, Unclear),
            (13, String::new(), false, Unclear),
            (80, String::new(), false, Unclear),
        ] {
            let controls = if control { vec![PASSWORD_EXPIRED_CONTROL.to_owned()] } else { Vec::new() };
            let ended = Ended { code, text: text.clone(), controls, cookie: None };
            assert_eq!(bind_result(&ended), expected, "{code} {text}");
        }
    }
}
