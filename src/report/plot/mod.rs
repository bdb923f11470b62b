//! Pictures: of one run as SVG, for a browser or a document, memory over time ([`memory`]), stages over time ([`stages`])
//! and a host with its neighbours over time ([`host`]); of a study as SVG and PNG ([`sweep`]).
//!
//! Colours are those of Okabe and Ito, which people with any colour vision can tell apart, and nothing is told by colour
//! alone: regions carry their names, marks have shapes and rows. Text widths are estimates, since the viewer chooses the
//! font; margins allow for that. The same record gives the same bytes.

mod axis;
mod canvas;
pub mod host;
pub mod memory;
pub mod stages;
pub mod sweep;

/// Holds what both pictures must keep, and writes the picture to the folder in `SPILLCAST_PICTURES` for looking at.
#[cfg(test)]
fn check(name: &str, draw: impl Fn() -> String) -> String {
    let svg = draw();
    assert_eq!(svg, draw(), "the same record gives the same bytes");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{name}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    let size = |key: &str| -> f64 {
        let at = svg.find(key).unwrap() + key.len();
        svg[at..].split('"').next().unwrap().parse().unwrap()
    };
    let (width, height) = (size("width=\""), size("height=\""));
    for tag in svg.split("<text ").skip(1) {
        let number =
            |key: &str| -> f64 { tag.split(key).nth(1).unwrap().split('"').next().unwrap().parse().unwrap() };
        let text = tag.split(">\n").nth(1).unwrap().split("\n<").next().unwrap();
        let text_width = canvas::text_width(text, number("font-size=\""));
        let x = number("x=\"");
        let (left, right) = match tag.split("text-anchor=\"").nth(1).unwrap().split('"').next().unwrap() {
            "start" => (x, x + text_width),
            "end" => (x - text_width, x),
            _ => (x - text_width / 2.0, x + text_width / 2.0),
        };
        let y = number(" y=\"");
        if tag.contains("rotate(270") {
            let (top, bottom) = (y - text_width / 2.0, y + text_width / 2.0);
            assert!(top >= 0.0 && bottom <= height, "{name}: {text:?} is cut: {top}..{bottom}");
            continue;
        }
        assert!(
            left >= 0.0 && right <= width && y >= 0.0 && y <= height,
            "{name}: {text:?} is cut: {left}..{right}"
        );
    }
    if let Some(folder) = std::env::var_os("SPILLCAST_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.svg")), &svg).unwrap();
    }
    svg
}
