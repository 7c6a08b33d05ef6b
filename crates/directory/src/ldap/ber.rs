//! BER as LDAP restricts it (RFC 4511 section 5.1): definite lengths. What is read never recurses and never reaches
//! beyond its bounds.

/// Universal and LDAP's tags, as the first octet of an element.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
}

/// What a peer sent is no LDAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what the server sent is no LDAP: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Appends an element.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.push(u8::try_from(length).unwrap_or_default());
    } else {
        let octets = length.to_be_bytes();
        let significant = octets.iter().skip_while(|octet| **octet == 0);
        out.push(0x80 | u8::try_from(significant.clone().count()).unwrap_or_default());
        out.extend(significant);
    }
    out.extend_from_slice(content);
}

/// An element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len().saturating_add(6));
    put(&mut out, tag, content);
    out
}

/// An INTEGER or ENUMERATED, in the fewest octets.
pub(crate) fn number(tag: u8, value: i32) -> Vec<u8> {
    element(tag, shortest(&value.to_be_bytes()))
}

/// Without leading octets that only repeat the sign.
pub(crate) fn shortest(mut octets: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = octets
        && let Some(second) = rest.first()
        && ((*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80))
    {
        octets = rest;
    }
    octets
}

/// Elements, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element's tag, if there is one.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: tag and content.
    pub(crate) fn next(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let cut_short = Malformed("an element is cut short");
        let (head, length) = header(self.0)?.ok_or(cut_short)?;
        let tag = self.0.first().copied().ok_or(cut_short)?;
        let rest = self.0.get(head..).ok_or(cut_short)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(cut_short)?;
        self.0 = rest;
        Ok((tag, content))
    }

    /// The next element's content; its tag must be this.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed("an unexpected tag")),
        }
    }

    /// A number that is not negative, of at most 31 bits (RFC 4511 section 4.1.1.1).
    pub(crate) fn number(&mut self, tag: u8) -> Result<i32, Malformed> {
        let octets = self.expect(tag)?;
        if octets.is_empty() || octets.len() > 4 || octets.first().is_some_and(|first| *first >= 0x80) {
            return Err(Malformed("a number out of range"));
        }
        Ok(octets.iter().fold(0, |number, octet| number << 8 | i32::from(*octet)))
    }
}

/// How many octets the header of the first element takes, and its content; `None`: the header is not all there.
fn header(octets: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let [tag, length, rest @ ..] = octets else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed("a tag of several octets"));
    }
    if *length < 0x80 {
        return Ok(Some((2, usize::from(*length))));
    }
    let count = usize::from(length & 0x7f);
    // More octets than needed are allowed; eight are more than anybody needs.
    if count == 0 || count > 8 {
        return Err(Malformed("a length that is indefinite or absurd"));
    }
    let Some(octets) = rest.get(..count) else { return Ok(None) };
    let length = octets.iter().fold(0_u64, |length, octet| length << 8 | u64::from(*octet));
    let length = usize::try_from(length).map_err(|_| Malformed("an absurd length"))?;
    Ok(Some((count + 2, length)))
}

/// How many octets the first message takes; `None`: it is not all there. One larger than `most` is refused by its
/// header, before it is waited for.
pub(crate) fn message_length(octets: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    if octets.first().is_some_and(|tag| *tag != tag::SEQUENCE) {
        return Err(Malformed("a message is no SEQUENCE"));
    }
    let Some((head, length)) = header(octets)? else { return Ok(None) };
    match head.checked_add(length) {
        Some(whole) if whole <= most => Ok((octets.len() >= whole).then_some(whole)),
        _ => Err(Malformed("a message is larger than anything that was asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_in_the_fewest_octets() {
        for (value, octets) in [
            (0, vec![2, 1, 0]),
            (127, vec![2, 1, 127]),
            (128, vec![2, 2, 0, 128]),
            (i32::MAX, vec![2, 4, 127, 255, 255, 255]),
        ] {
            assert_eq!(number(tag::INTEGER, value), octets);
            assert_eq!(Reader::new(&octets).number(tag::INTEGER), Ok(value));
        }
        assert!(Reader::new(&[2, 1, 0x80]).number(tag::INTEGER).is_err());
        assert!(Reader::new(&[2, 5, 0, 0, 0, 0, 1]).number(tag::INTEGER).is_err());
        assert!(Reader::new(&[2, 0]).number(tag::INTEGER).is_err());
    }

    #[test]
    fn messages_are_measured_before_they_are_waited_for() {
        assert_eq!(message_length(&[], 100), Ok(None));
        assert_eq!(message_length(&[0x30], 100), Ok(None));
        assert_eq!(message_length(&[0x30, 3, 1, 2], 100), Ok(None));
        assert_eq!(message_length(&[0x30, 3, 1, 2, 3, 9], 100), Ok(Some(5)));
        assert_eq!(message_length(&[0x30, 0x84, 0, 0, 0, 1, 7], 100), Ok(Some(7)));
        assert!(message_length(&[0x30, 0x82, 1, 0], 100).is_err());
        assert!(message_length(&[0x30, 0x88, 255, 255, 255, 255, 255, 255, 255, 255], 100).is_err());
        assert!(message_length(&[0x30, 0x80], 100).is_err());
        assert!(message_length(b"HTTP/1.1 400", 100).is_err());
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(tag in 0_u8..0x1f, content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let octets = element(tag, &content);
            let mut reader = Reader::new(&octets);
            prop_assert_eq!(reader.next(), Ok((tag, content.as_slice())));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn whatever_comes_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut reader = Reader::new(&octets);
            while !reader.is_empty() && reader.next().is_ok() {}
            let _ = message_length(&octets, 50);
        }
    }
}
