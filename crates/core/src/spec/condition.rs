//! Population conditions: SQL over dictionary names, allow-listed to columns, literals, comparison, AND, OR, NOT, IN, BETWEEN
//! and IS NULL, with SQL's three-valued logic.

use jiff::civil::Date;
use sqlparser::{
    ast::{BinaryOperator, Expr, InTarget, UnaryOperator, Value as SqlValue},
    dialect::AnsiDialect,
    parser::Parser,
};

use super::dictionary::{Dictionary, VariableKind};

/// A value in a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Not known.
    Null,
    /// Numbers, and days since 1970-01-01.
    Number(f64),
    /// Codes.
    Text(String),
}

/// A checked condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Text as written, without what AND joins to it.
    pub text: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Compare { column: String, operator: Operator, literal: Scalar },
    In { column: String, literals: Vec<Scalar> },
    IsNull(String),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

/// A comparison of a variable with literals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A part of a condition that looks at one variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Leaf<'a> {
    /// Comparison with a literal.
    Compare { column: &'a str, operator: Operator, literal: &'a Scalar },
    /// One of several literals.
    In { column: &'a str, literals: &'a [Scalar] },
    /// Those of whom it is not known. That it is known is no part to look at: who is selected by it is selected together with all
    /// others of whom it is known.
    Missing { column: &'a str },
}

impl<'a> Leaf<'a> {
    /// The variable.
    pub(super) fn column(&self) -> &'a str {
        match self {
            Self::Compare { column, .. } | Self::In { column, .. } | Self::Missing { column } => {
                column
            }
        }
    }
}

impl std::fmt::Display for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

/// What is wrong with a condition, and what to do.
type Problem = (String, String);

const ALLOWED: &str =
    "allowed are: variables, literals, =, <>, <, <=, >, >=, AND, OR, NOT, IN, BETWEEN, IS NULL";

impl Condition {
    /// Parses and checks a condition; each part joined by AND becomes a condition of its own, so that the records each part
    /// excludes can be counted.
    pub fn parse(text: &str, dictionary: &Dictionary) -> Result<Vec<Self>, Vec<Problem>> {
        let dialect = AnsiDialect {};
        let parsed = Parser::new(&dialect).try_with_sql(text).and_then(|mut parser| {
            let expression = parser.parse_expr()?;
            parser.expect_token(&sqlparser::tokenizer::Token::EOF)?;
            Ok(expression)
        });
        let expression = parsed.map_err(|error| {
            let reason = error.to_string();
            let reason = reason.trim_start_matches("sql parser error: ").to_owned();
            vec![(format!("not a condition: {reason}"), ALLOWED.to_owned())]
        })?;
        let mut parts = Vec::new();
        split(&expression, &mut parts);
        let mut conditions = Vec::new();
        let mut problems = Vec::new();
        for part in parts {
            match check(part, dictionary, &mut problems) {
                Some(test) => conditions.push(Self { text: part.to_string(), test }),
                None => debug_assert!(!problems.is_empty(), "a part without test has a problem"),
            }
        }
        if problems.is_empty() { Ok(conditions) } else { Err(problems) }
    }

    /// Variables that the condition reads.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.test.variables(&mut names);
        names
    }

    /// The parts that look at one variable each.
    pub(super) fn leaves(&self) -> Vec<Leaf<'_>> {
        let mut leaves = Vec::new();
        self.test.leaves(false, &mut leaves);
        leaves
    }

    /// Whether a record meets the condition; like SQL's WHERE, "not known" does not.
    pub fn holds(&self, value: &dyn Fn(&str) -> Scalar) -> bool {
        self.test.evaluate(value) == Some(true)
    }
}

impl Test {
    fn variables<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Compare { column, .. } | Self::In { column, .. } | Self::IsNull(column) => {
                names.push(column);
            }
            Self::Not(inner) => inner.variables(names),
            Self::And(a, b) | Self::Or(a, b) => {
                a.variables(names);
                b.variables(names);
            }
        }
    }

    fn leaves<'a>(&'a self, is_negated: bool, leaves: &mut Vec<Leaf<'a>>) {
        match self {
            Self::Compare { column, operator, literal } => {
                leaves.push(Leaf::Compare { column, operator: *operator, literal });
            }
            Self::In { column, literals } => leaves.push(Leaf::In { column, literals }),
            Self::IsNull(_) if is_negated => {}
            Self::IsNull(column) => leaves.push(Leaf::Missing { column }),
            Self::Not(inner) => inner.leaves(!is_negated, leaves),
            Self::And(a, b) | Self::Or(a, b) => {
                a.leaves(is_negated, leaves);
                b.leaves(is_negated, leaves);
            }
        }
    }

    fn evaluate(&self, value: &dyn Fn(&str) -> Scalar) -> Option<bool> {
        match self {
            Self::Compare { column, operator, literal } => {
                compare(&value(column), *operator, literal)
            }
            Self::In { column, literals } => {
                let found = value(column);
                if found == Scalar::Null {
                    return None;
                }
                Some(literals.iter().any(|l| compare(&found, Operator::Equal, l) == Some(true)))
            }
            Self::IsNull(column) => Some(value(column) == Scalar::Null),
            Self::Not(inner) => inner.evaluate(value).map(|b| !b),
            Self::And(a, b) => match (a.evaluate(value), b.evaluate(value)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                (None, _) | (_, None) => None,
            },
            Self::Or(a, b) => match (a.evaluate(value), b.evaluate(value)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                (None, _) | (_, None) => None,
            },
        }
    }
}

fn compare(found: &Scalar, operator: Operator, literal: &Scalar) -> Option<bool> {
    let ordering = match (found, literal) {
        (Scalar::Number(a), Scalar::Number(b)) => a.partial_cmp(b)?,
        (Scalar::Text(a), Scalar::Text(b)) => a.cmp(b),
        (Scalar::Null | Scalar::Number(_) | Scalar::Text(_), _) => return None,
    };
    Some(match operator {
        Operator::Equal => ordering.is_eq(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
    })
}

fn split<'a>(expression: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match expression {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split(left, parts);
            split(right, parts);
        }
        Expr::Nested(inner)
            if matches!(**inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) =>
        {
            split(inner, parts);
        }
        other => parts.push(other),
    }
}

fn check(expression: &Expr, dictionary: &Dictionary, problems: &mut Vec<Problem>) -> Option<Test> {
    let negate = |test: Test, negated: bool| if negated { Test::Not(Box::new(test)) } else { test };
    match expression {
        Expr::Nested(inner) => check(inner, dictionary, problems),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            Some(Test::Not(Box::new(check(expr, dictionary, problems)?)))
        }
        Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
            let (left, right) =
                (check(left, dictionary, problems), check(right, dictionary, problems));
            let (left, right) = (Box::new(left?), Box::new(right?));
            Some(if *op == BinaryOperator::And {
                Test::And(left, right)
            } else {
                Test::Or(left, right)
            })
        }
        Expr::BinaryOp { left, op, right } => {
            let (operator, negated) = match op {
                BinaryOperator::Eq => (Operator::Equal, false),
                BinaryOperator::NotEq => (Operator::Equal, true),
                BinaryOperator::Lt => (Operator::Less, false),
                BinaryOperator::LtEq => (Operator::LessOrEqual, false),
                BinaryOperator::Gt => (Operator::Greater, false),
                BinaryOperator::GtEq => (Operator::GreaterOrEqual, false),
                _ => return not_allowed(expression, problems),
            };
            let (column, kind) = column(left, dictionary, problems)?;
            if operator != Operator::Equal && !is_ordered(kind) {
                let message = format!("`{column}` has unordered codes: `{op}` does not apply");
                problems.push((message, "use = or IN".into()));
                return None;
            }
            let literal = literal(right, &column, kind, dictionary, problems)?;
            Some(negate(Test::Compare { column, operator, literal }, negated))
        }
        Expr::In { expr, target: InTarget::List(list), negated, global: false } => {
            let (column, kind) = column(expr, dictionary, problems)?;
            let literals: Vec<Option<Scalar>> =
                list.iter().map(|e| literal(e, &column, kind, dictionary, problems)).collect();
            let literals = literals.into_iter().collect::<Option<Vec<_>>>()?;
            Some(negate(Test::In { column, literals }, *negated))
        }
        Expr::Between { expr, negated, low, high } => {
            let (column, kind) = column(expr, dictionary, problems)?;
            let low = literal(low, &column, kind, dictionary, problems);
            let high = literal(high, &column, kind, dictionary, problems);
            let bound =
                |operator, literal| Test::Compare { column: column.clone(), operator, literal };
            let from = bound(Operator::GreaterOrEqual, low?);
            let to = bound(Operator::LessOrEqual, high?);
            Some(negate(Test::And(Box::new(from), Box::new(to)), *negated))
        }
        Expr::IsNull(expr) => Some(Test::IsNull(column(expr, dictionary, problems)?.0)),
        Expr::IsNotNull(expr) => {
            Some(Test::Not(Box::new(Test::IsNull(column(expr, dictionary, problems)?.0))))
        }
        _ => not_allowed(expression, problems),
    }
}

fn not_allowed(expression: &Expr, problems: &mut Vec<Problem>) -> Option<Test> {
    problems.push((format!("`{expression}` is not allowed in a condition"), ALLOWED.to_owned()));
    None
}

fn is_ordered(kind: VariableKind) -> bool {
    match kind {
        // Codes of an open list, such as morphology, are read as ranges: morphology BETWEEN '8960' AND '8969'.
        VariableKind::Date
        | VariableKind::Days
        | VariableKind::Integer
        | VariableKind::Real
        | VariableKind::Text => true,
        VariableKind::Category | VariableKind::Flag => false,
    }
}

fn column(
    expression: &Expr,
    dictionary: &Dictionary,
    problems: &mut Vec<Problem>,
) -> Option<(String, VariableKind)> {
    let Expr::Identifier(name) = expression else {
        let message = format!("`{expression}` is where a variable is expected");
        problems.push((message, "write the variable first: age_years < 15".into()));
        return None;
    };
    let name = name.value.clone();
    let every = [
        VariableKind::Category,
        VariableKind::Flag,
        VariableKind::Date,
        VariableKind::Days,
        VariableKind::Integer,
        VariableKind::Real,
        VariableKind::Text,
    ];
    match dictionary.usable(&name, &every) {
        Ok(variable) => Some((name, variable.kind)),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn literal(
    expression: &Expr,
    column: &str,
    kind: VariableKind,
    dictionary: &Dictionary,
    problems: &mut Vec<Problem>,
) -> Option<Scalar> {
    let (text, quoted) = match expression {
        Expr::Value(value) => match &value.value {
            SqlValue::Number(number, _) => (number.clone(), false),
            SqlValue::SingleQuotedString(text) => (text.clone(), true),
            _ => return literal_problem(expression, column, "a number or a quoted text", problems),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => (format!("-{expr}"), false),
        _ => return literal_problem(expression, column, "a literal", problems),
    };
    match kind {
        VariableKind::Integer | VariableKind::Real | VariableKind::Days => match text.parse() {
            Ok(number) if !quoted => Some(Scalar::Number(number)),
            _ => literal_problem(expression, column, "a number", problems),
        },
        VariableKind::Date => match text.parse::<Date>() {
            Ok(date) if quoted => Some(Scalar::Number(f64::from(day_number(date)))),
            _ => literal_problem(expression, column, "a date such as '1985-01-31'", problems),
        },
        VariableKind::Flag if text == "0" || text == "1" => {
            Some(Scalar::Number(if text == "1" { 1.0 } else { 0.0 }))
        }
        VariableKind::Flag => literal_problem(expression, column, "0 or 1", problems),
        VariableKind::Category => {
            let levels = &dictionary.get(column)?.levels;
            if quoted && levels.contains(&text) {
                return Some(Scalar::Text(text));
            }
            let quoted_levels: Vec<String> = levels.iter().map(|l| format!("'{l}'")).collect();
            let wanted = format!("one of {}", quoted_levels.join(", "));
            literal_problem(expression, column, &wanted, problems)
        }
        VariableKind::Text if quoted => Some(Scalar::Text(text)),
        VariableKind::Text => literal_problem(expression, column, "a quoted text", problems),
    }
}

fn literal_problem(
    expression: &Expr,
    column: &str,
    wanted: &str,
    problems: &mut Vec<Problem>,
) -> Option<Scalar> {
    let message = format!("`{column}` is compared with {expression}, expected {wanted}");
    problems.push((message, "see the variable in the study's dictionary".into()));
    None
}

/// Days since 1970-01-01.
pub fn day_number(date: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    (date - epoch).get_days()
}
