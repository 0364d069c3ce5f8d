//! Results as text, tables and figures. One document is composed from the results and rendered as HTML and PDF; tables and
//! figures of all files come from the same estimates, so that they cannot disagree.
#![warn(missing_docs)]

mod compose;
mod csv;
mod document;
mod figure;
mod format;
mod html;
mod locale;
#[cfg(feature = "pdf")]
mod pdf;
pub mod results;
mod ro_crate;

use std::collections::BTreeMap;

pub use csv::render as table_csv;
pub use document::{Block, Document, Section};
pub use figure::Drawing;
pub use ro_crate::{MANIFEST, manifest_files, manifest_renewed, sha256};

use crate::results::Results;

/// Why a report cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A sentence or page that does not render.
    #[error("the text `{key}` does not render: {reason}")]
    Text {
        /// Key of the sentence, or name of the page.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Results that do not serialise.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A figure that does not render.
    #[error("the figure `{name}` does not render as a bitmap")]
    Figure {
        /// Figure.
        name: String,
    },
    /// A page that typst refuses.
    #[error("the PDF does not render: {reason}")]
    Pdf {
        /// What typst says.
        reason: String,
    },
}

/// A composed report.
#[derive(Debug)]
pub struct Report {
    document: Document,
    figures: BTreeMap<String, Drawing>,
}

impl Report {
    /// Writes the sentences and draws the figures.
    pub fn compose(results: &Results) -> Result<Self, ReportError> {
        let locale = locale::Locale::english()?;
        let (document, figures) = compose::compose(results, &locale)?;
        Ok(Self { document, figures })
    }

    /// The answer, in sentences.
    pub fn answer(&self) -> &[String] {
        &self.document.answer
    }

    /// The document model.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Figures by name.
    pub fn figures(&self) -> &BTreeMap<String, Drawing> {
        &self.figures
    }

    /// One self-contained page.
    pub fn html(&self) -> Result<String, ReportError> {
        html::render(&self.document, &self.figures)
    }

    /// For print.
    #[cfg(feature = "pdf")]
    pub fn pdf(&self) -> Result<Vec<u8>, ReportError> {
        pdf::render(&self.document, &self.figures)
    }

    /// This build has no PDF.
    #[cfg(not(feature = "pdf"))]
    pub fn pdf(&self) -> Result<Vec<u8>, ReportError> {
        Err(ReportError::Pdf { reason: "this program was built without the feature `pdf`".into() })
    }
}

/// All files of a results folder by relative path.
pub fn files(results: &Results) -> Result<BTreeMap<String, Vec<u8>>, ReportError> {
    let report = Report::compose(results)?;
    let mut files = BTreeMap::new();
    let mut json = serde_json::to_string_pretty(results)?;
    json.push('\n');
    files.insert("results.json".to_owned(), json.into_bytes());
    for model in &results.models {
        for table in model.estimate().iter().flat_map(|e| &e.tables) {
            files.insert(format!("tables/{}.{}.csv", model.id, table.name), csv::render(table));
        }
    }
    for (name, drawing) in &report.figures {
        let png = figure::png(drawing).ok_or_else(|| ReportError::Figure { name: name.clone() })?;
        files.insert(format!("figures/{name}.svg"), drawing.svg.clone().into_bytes());
        files.insert(format!("figures/{name}.png"), png);
    }
    files.insert("report.html".to_owned(), report.html()?.into_bytes());
    #[cfg(feature = "pdf")]
    files.insert("report.pdf".to_owned(), report.pdf()?);
    let crate_file = ro_crate::render(results, &files)?;
    files.insert(MANIFEST.to_owned(), crate_file);
    Ok(files)
}
