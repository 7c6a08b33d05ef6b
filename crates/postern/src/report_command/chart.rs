//! Sessions by day, as bars: on a terminal, and as SVG.

use std::fmt::Write as _;

use super::report::{Report, Sessions};

/// Characters of the longest bar.
const WIDTH: u64 = 50;
/// Days on a terminal.
const MAX_BARS: usize = 31;

/// Kinds of sessions: how they are named, drawn and coloured. Colours that the colour-blind tell apart.
const KINDS: [(&str, char, &str); 3] =
    [("sent mail", '█', "#0072b2"), ("would be refused", '▒', "#e69f00"), ("refused", '░', "#999999")];

fn parts(day: &Sessions) -> [u64; 3] {
    [day.sent, day.let_through, day.refused]
}

/// One line a day.
pub(super) fn terminal(report: &Report) -> String {
    let days = report.sessions();
    let shown = days.get(days.len().saturating_sub(MAX_BARS)..).unwrap_or_default();
    let most = shown.iter().map(|(_, day)| parts(day).iter().sum()).max().unwrap_or(0).max(1);
    let mut text = String::from("sessions:");
    for (name, bar, _) in KINDS {
        let _ = write!(text, "  {bar} {name}");
    }
    text.push('\n');
    for (day, sessions) in shown {
        let parts = parts(sessions);
        // What there is is seen, however little.
        let length = |part: u64| (part * WIDTH).div_ceil(most);
        let bars = parts.iter().zip(KINDS).map(|(part, (_, bar, _))| bar.to_string().repeat(length(*part) as usize));
        let bars: String = bars.collect();
        let numbers: Vec<String> = parts.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "{} {bars} {}", day.get(5..).unwrap_or(day), numbers.join(" + "));
    }
    text
}

/// A picture for a page: a bar a day.
pub(super) fn svg(report: &Report) -> String {
    const LEFT: u64 = 50;
    const TOP: u64 = 50;
    const HEIGHT: u64 = 200;
    let days = report.sessions();
    let most = days.iter().map(|(_, day)| parts(day).iter().sum()).max().unwrap_or(0).max(1);
    let bar = (700 / days.len().max(1) as u64).clamp(4, 60);
    let width = (LEFT + bar * days.len() as u64 + 20).max(420);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">Sessions by day, {} to {}</text>\n",
        TOP + HEIGHT + 40,
        report.from,
        report.to
    );
    for ((name, _, colour), x) in KINDS.iter().zip((LEFT..).step_by(125)) {
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{colour}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"37\">{name}</text>", x + 14);
    }
    for (label, y) in [(most, TOP), (0, TOP + HEIGHT)] {
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>", LEFT - 6, y + 4);
        let _ = writeln!(svg, "<path d=\"M{LEFT} {y}H{}\" stroke=\"#cccccc\"/>", width - 20);
    }
    // Every day has a label only where there is room for it.
    let every = 36_u64.div_ceil(bar).max(1) as usize;
    for (number, ((day, sessions), x)) in days.iter().zip((LEFT..).step_by(bar as usize)).enumerate() {
        let mut y = TOP + HEIGHT;
        for (part, (name, _, colour)) in parts(sessions).into_iter().zip(KINDS) {
            let height = (part * HEIGHT).div_ceil(most).min(y - TOP);
            y -= height;
            if height > 0 {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{height}\" fill=\"{colour}\"><title>{day}: {part} {name}</title></rect>",
                    x + 1,
                    bar - 2
                );
            }
        }
        if number % every == 0 {
            let (x, y) = (x + bar / 2, TOP + HEIGHT + 18);
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                day.get(5..).unwrap_or(day)
            );
        }
    }
    svg + "</svg>\n"
}
