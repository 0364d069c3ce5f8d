//! A result table as CSV (RFC 4180): full precision, the shortest decimals that read back to the same number.

use tributary_core::estimate::{Table, Value};

/// Renders a table; an empty cell is hidden or undefined, and the `status` column says which.
pub fn render(table: &Table) -> Vec<u8> {
    let mut text = line(table.columns.iter().map(|c| field(&c.name)));
    for row in &table.rows {
        text.push_str(&line(row.iter().map(|value| match value {
            Value::None => String::new(),
            Value::Number(x) => number(*x),
            Value::Text(text) => field(text),
        })));
    }
    text.into_bytes()
}

/// Shortest decimals; very small and very large numbers with an exponent.
fn number(x: f64) -> String {
    let plain = x == 0.0 || (1e-4..1e15).contains(&x.abs());
    if plain { x.to_string() } else { format!("{x:e}") }
}

fn line(fields: impl Iterator<Item = String>) -> String {
    let mut line = fields.collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_exactly_and_text_is_quoted_where_needed() {
        let mut table = Table::new("t", &["term", "estimate"]);
        table.push(vec!["a,\"b\"".into(), (0.1 + 0.2).into()]);
        table.push(vec!["c".into(), Value::None]);
        table.push(vec!["d".into(), 6.25e-93.into()]);
        assert_eq!(
            String::from_utf8(render(&table)).unwrap(),
            "term,estimate\n\"a,\"\"b\"\"\",0.30000000000000004\nc,\nd,6.25e-93\n"
        );
    }
}
