//! How tables look on a terminal, and elsewhere.

use comfy_table::{ContentArrangement, Table, presets};

/// For output that goes to a file or a pipe, which has no width of its own.
const WIDTH: u16 = 150;

/// An empty table as wide as the terminal.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table
}
