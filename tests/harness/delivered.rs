//! A message as it came to the next hop.

use std::fs;
use std::path::Path;

/// One kept message.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) text: String,
}

impl Delivered {
    pub(crate) fn read(path: &Path) -> Self {
        Self { text: String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned() }
    }

    /// The values of all fields of this name, unfolded, top-down.
    pub(crate) fn fields(&self, name: &str) -> Vec<String> {
        let (header, _) = self.text.split_once("\r\n\r\n").unwrap_or((&self.text, ""));
        let unfolded = header.replace("\r\n\t", " ").replace("\r\n ", " ");
        let fields = unfolded.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// The only field of this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let mut fields = self.fields(name);
        assert_eq!(fields.len(), 1, "{name} in {}", self.text);
        fields.remove(0)
    }

    pub(crate) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}
