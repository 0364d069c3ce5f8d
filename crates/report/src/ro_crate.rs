//! RO-Crate 1.1 of a results folder: what each file is and how it came about.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ReportError;
use crate::results::Results;

/// Name of the file.
pub const MANIFEST: &str = "ro-crate-metadata.json";

/// SHA-256 of `bytes`, as the manifest writes it: 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

/// Files that a manifest names, with their SHA-256; none if `manifest` is no manifest.
pub fn manifest_files(manifest: &[u8]) -> BTreeMap<String, String> {
    let found: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let entries = found["@graph"].as_array().into_iter().flatten();
    let text = |entry: &Value, key: &str| entry[key].as_str().map(str::to_owned);
    entries.filter_map(|entry| Some((text(entry, "@id")?, text(entry, "sha256")?))).collect()
}

/// A manifest after some of its files have been written anew; nothing if it names none of them.
pub fn manifest_renewed(manifest: &[u8], files: &BTreeMap<&str, Vec<u8>>) -> Option<Vec<u8>> {
    let mut found: Value = serde_json::from_slice(manifest).ok()?;
    let mut renewed = false;
    for entry in found["@graph"].as_array_mut()? {
        let file = entry["@id"].as_str().and_then(|name| files.get(name));
        if let Some(bytes) = file {
            entry["sha256"] = sha256(bytes).into();
            entry["contentSize"] = bytes.len().to_string().into();
            renewed = true;
        }
    }
    if renewed { text(&found).ok() } else { None }
}

fn text(manifest: &Value) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_string_pretty(manifest)?;
    text.push('\n');
    Ok(text.into_bytes())
}

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
            "@id": MANIFEST,
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
        graph.push(json!({
            "@id": name,
            "@type": "File",
            "encodingFormat": media_type(name),
            "contentSize": bytes.len().to_string(),
            "sha256": sha256(bytes),
        }));
    }
    let crate_file =
        json!({ "@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph });
    Ok(text(&crate_file)?)
}
