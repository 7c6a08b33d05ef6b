//! The fields of a message's header section, in the form that white space added or folded on the way does not change:
//! `relaxed` of RFC 6376 section 3.4.2.

use memchr::memchr;

use super::field_name;

/// Each field's name and body, folding included, from the message's first octet on. Lines end with LF, or CRLF.
pub fn fields(message: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let mut end = line(rest);
        field_name(rest.get(..end)?)?;
        while rest.get(end).is_some_and(|octet| matches!(octet, b' ' | b'\t')) {
            end += line(rest.get(end..)?);
        }
        let (field, tail) = rest.split_at_checked(end)?;
        rest = tail;
        field_name(field)
    })
}

/// Octets of the first line, with its end.
fn line(octets: &[u8]) -> usize {
    memchr(b'\n', octets).map_or(octets.len(), |at| at.saturating_add(1))
}

/// The fields with these names, in the order of the names and then of the message, each as `name:body` and LF: the name in
/// lower case, the body unfolded, each run of white space one space, none at either end.
#[must_use]
pub fn relaxed(message: &[u8], names: &[&str]) -> Vec<u8> {
    let mut octets = Vec::new();
    for wanted in names {
        let of_name = fields(message).filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        for (name, body) in of_name {
            octets.extend(name.iter().map(u8::to_ascii_lowercase));
            octets.push(b':');
            let words = body.split(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
            for (at, word) in words.filter(|word| !word.is_empty()).enumerate() {
                if at > 0 {
                    octets.push(b' ');
                }
                octets.extend_from_slice(word);
            }
            octets.push(b'\n');
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_makes_no_difference() {
        let expected = "from:Alice <alice@example.mil>\nsubject:a b\nsubject:\n";
        for message in [
            "From: Alice <alice@example.mil>\r\nSubject: a b\r\nTo: x\r\nSubject:\r\n\r\nFrom: body\r\n",
            "subject:a\r\n\tb\r\nSUBJECT:\r\n \r\nfrom \t:Alice \t <alice@example.mil> \r\n",
            "Subject: a\n  b \nFrom: Alice\n <alice@example.mil>\nSubject: \n\nFrom: body\n",
        ] {
            assert_eq!(String::from_utf8(relaxed(message.as_bytes(), &["From", "Subject"])).unwrap(), expected);
        }
        assert_eq!(relaxed(b"no field\r\nFrom: x\r\n", &["From"]), b"");
        assert_eq!(relaxed(b"From: x", &["From"]), b"from:x\n");
        assert_eq!(fields(b" a: b\r\n").count(), 0);
    }
}
