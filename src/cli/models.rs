//! `tributary models`: the cards.

use anyhow::bail;

use super::Ending;
use crate::{
    model::ModelCard,
    models::{MODELS, find},
};

pub(super) fn models(kind: Option<&str>) -> anyhow::Result<Ending> {
    let Some(kind) = kind else {
        for model in MODELS {
            let ModelCard { kind, title, estimates, .. } = model.card();
            say!("{kind:<18} {title}\n{:<18} estimates {estimates}", "");
        }
        return Ok(Ending::Done);
    };
    let Some(model) = find(kind) else {
        let known: Vec<&str> = MODELS.iter().map(|m| m.card().kind).collect();
        bail!("there is no model `{kind}`; models: {}", known.join(", "));
    };
    let card = model.card();
    say!("{} ({})\n", card.title, card.kind);
    let lines = [
        ("estimates", card.estimates),
        ("a site sends", card.sends),
        ("the hub", card.pools),
        ("differs from pooling", card.differs),
        ("rounds", &card.exchanges.words()),
        ("not covered", card.not_done),
        ("sources", card.sources),
    ];
    for (what, text) in lines {
        say!("{what:<25} {text}");
    }
    say!("\n[[model]]\n{}", card.example);
    Ok(Ending::Done)
}
