//! RO-Crate 1.1 of a results folder: what each file is and how it came about.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ReportError;
use crate::results::Results;

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("json") => "application/json",
        Some("csv") => "text/csv",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("html") => "text/html",
        Some("pdf") => "application/pdf",
        Some(_) | None => "application/octet-stream",
    }
}

/// Renders the metadata of all `files`.
pub(super) fn render(
    results: &Results,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<u8>, ReportError> {
    let provenance = &results.provenance;
    let engine = json!({
        "@id": "#engine",
        "@type": "SoftwareApplication",
        "name": provenance.engine,
        "version": provenance.engine_version,
    });
    let action = json!({
        "@id": "#run",
        "@type": "CreateAction",
        "name": format!("Run of the analysis {}", results.analysis.id),
        "endTime": provenance.date,
        "instrument": { "@id": "#engine" },
        "identifier": provenance.spec_sha256,
        "result": { "@id": "./" },
    });
    let parts: Vec<Value> = files.keys().map(|name| json!({ "@id": name })).collect();
    let mut graph = vec![
        json!({
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": { "@id": "./" },
            "conformsTo": { "@id": "https://w3id.org/ro/crate/1.1" },
        }),
        json!({
            "@id": "./",
            "@type": "Dataset",
            "name": results.analysis.title,
            "description": results.analysis.text,
            "datePublished": provenance.date,
            "license": "Pooled results; the licence is the consortium's to choose.",
            "hasPart": parts,
        }),
        engine,
        action,
    ];
    for (name, bytes) in files {
        let sha256 = base16ct::lower::encode_string(&Sha256::digest(bytes));
        graph.push(json!({
            "@id": name,
            "@type": "File",
            "encodingFormat": media_type(name),
            "contentSize": bytes.len().to_string(),
            "sha256": sha256,
        }));
    }
    let crate_file =
        json!({ "@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph });
    let mut text = serde_json::to_string_pretty(&crate_file)?;
    text.push('\n');
    Ok(text.into_bytes())
}
