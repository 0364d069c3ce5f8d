//! The document as one self-contained page: style, typeface and figures inside.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, Value, context, value::Serde};

use super::{Document, Drawing, ReportError};

const PAGE: &str = include_str!("../../../reports/report.html");
const STYLE: &str = include_str!("../../../reports/style.css");

/// Renders the page.
pub(super) fn render(
    document: &Document,
    figures: &BTreeMap<String, Drawing>,
) -> Result<String, ReportError> {
    let error = |e: minijinja::Error| ReportError::Text {
        key: "report.html".into(),
        reason: format!("{e:#}"),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template_owned("report.html", PAGE).map_err(error)?;
    let drawings: BTreeMap<&str, String> =
        figures.iter().map(|(name, d)| (name.as_str(), inline(d))).collect();
    let fonts: Vec<String> = super::figure::fonts().iter().map(|bytes| base64(bytes)).collect();
    let values = context! {
        document => Value::from(Serde(document)),
        figures => Value::from(Serde(drawings)),
        style => STYLE,
        fonts => fonts,
    };
    environment.get_template("report.html").map_err(error)?.render(values).map_err(error)
}

/// The drawing without its fixed size, so that it follows the width of the page; the page says what it shows.
fn inline(drawing: &Drawing) -> String {
    let Drawing { svg, width, height } = drawing;
    let fixed = format!("<svg width=\"{width}\" height=\"{height}\"");
    svg.replacen(&fixed, "<svg aria-hidden=\"true\"", 1)
}

fn base64(bytes: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    Base64::encode_string(bytes)
}
