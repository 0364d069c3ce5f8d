//! The document as a PDF, set by typst from a template that only reads ready-made words and numbers.

use std::collections::BTreeMap;

use typst::{
    Library, LibraryExt, World,
    diag::{FileError, FileResult, SourceDiagnostic},
    foundations::{Bytes, Datetime, Duration},
    syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot},
    text::{Font, FontBook},
    utils::LazyHash,
};
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

use super::{Document, Drawing, ReportError};

const TEMPLATE: &str = include_str!("../../../reports/report.typ");

/// Everything typst may see: the template, the document and the figures. No disk, no clock, no network.
struct Page {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    source: Source,
    files: BTreeMap<String, Bytes>,
}

impl World for Page {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.source.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.source.id() { Ok(self.source.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        let path = id.vpath().get_with_slash();
        self.files.get(path).cloned().ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn failed(errors: &[SourceDiagnostic]) -> ReportError {
    let reason: Vec<String> = errors.iter().map(|e| e.message.to_string()).collect();
    ReportError::Pdf { reason: reason.join("; ") }
}

/// Renders the PDF.
pub(super) fn render(
    document: &Document,
    figures: &BTreeMap<String, Drawing>,
) -> Result<Vec<u8>, ReportError> {
    let fonts: Vec<Font> =
        super::figure::fonts().into_iter().map(Bytes::new).flat_map(Font::iter).collect();
    let mut files = BTreeMap::new();
    files.insert("/report.json".to_owned(), Bytes::new(serde_json::to_vec(document)?));
    for (name, drawing) in figures {
        files.insert(format!("/figures/{name}.svg"), Bytes::from_string(drawing.svg.clone()));
    }
    let path =
        VirtualPath::new("/report.typ").map_err(|e| ReportError::Pdf { reason: e.to_string() })?;
    let id = FileId::new(RootedPath::new(VirtualRoot::Project, path));
    let page = Page {
        library: LazyHash::new(Library::default()),
        book: LazyHash::new(FontBook::from_fonts(&fonts)),
        fonts,
        source: Source::new(id, TEMPLATE.to_owned()),
        files,
    };
    let document: PagedDocument = typst::compile(&page).output.map_err(|errors| failed(&errors))?;
    typst_pdf::pdf(&document, &PdfOptions::default()).map_err(|errors| failed(&errors))
}
