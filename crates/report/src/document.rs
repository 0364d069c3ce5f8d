//! The document between the results and their renderings: sections of blocks, every word and number already written.

use serde::Serialize;

/// A whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Document {
    /// Language code.
    pub language: String,
    /// Title.
    pub title: String,
    /// Line under the title.
    pub subtitle: String,
    /// The question.
    pub question: String,
    /// The answer, a sentence each.
    pub answer: Vec<String>,
    /// Headings of question and answer.
    pub labels: AnswerLabels,
    /// Sections.
    pub sections: Vec<Section>,
}

/// Headings of question, answer and contents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerLabels {
    /// Of the section.
    pub section: String,
    /// Of the question.
    pub question: String,
    /// Of the answer.
    pub answer: String,
    /// Of the contents.
    pub contents: String,
    /// Of a method card.
    pub card: String,
}

/// A heading with what stands under it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// Anchor.
    pub id: String,
    /// Heading.
    pub heading: String,
    /// 1 for a part, 2 for a result within it.
    pub level: u8,
    /// Content.
    pub blocks: Vec<Block>,
}

/// One piece of content.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "block")]
pub enum Block {
    /// A paragraph.
    Paragraph {
        /// Text.
        text: String,
    },
    /// A line that tells how to read what follows, in small print.
    Note {
        /// Text.
        text: String,
    },
    /// Something that needs a look.
    Warning {
        /// Text.
        text: String,
    },
    /// A table.
    Table(PrintTable),
    /// A figure.
    Figure {
        /// Name of its file.
        name: String,
        /// Caption.
        caption: String,
        /// Text for those who cannot see it.
        alt: String,
        /// Width, tenths of a millimetre.
        width: u32,
        /// Height, tenths of a millimetre.
        height: u32,
    },
    /// Method card or facts: pairs of term and text.
    Facts {
        /// Whether it is a method card.
        card: bool,
        /// Pairs.
        lines: Vec<(String, String)>,
    },
}

/// A table as printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PrintTable {
    /// Caption.
    pub caption: String,
    /// Column heads.
    pub head: Vec<String>,
    /// Leading columns that hold words; the others hold numbers.
    pub text_columns: usize,
    /// Rows.
    pub rows: Vec<PrintRow>,
}

/// A row as printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrintRow {
    /// `body`, `group` (a heading over the rows that follow), `indent` or `total`.
    pub style: &'static str,
    /// Cells; a group row has one.
    pub cells: Vec<String>,
}

impl PrintTable {
    pub(super) fn new(caption: String, head: Vec<String>) -> Self {
        Self { caption, head, text_columns: 1, rows: Vec::new() }
    }

    /// The same with `n` leading columns of words.
    pub(super) fn texts(mut self, n: usize) -> Self {
        self.text_columns = n;
        self
    }

    pub(super) fn row(&mut self, style: &'static str, cells: Vec<String>) {
        self.rows.push(PrintRow { style, cells });
    }
}
