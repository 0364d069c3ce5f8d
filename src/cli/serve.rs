//! `tributary hub serve`, `keyholder serve`, and what their operators need around them.

use std::{fs, io::Read as _, net::TcpListener, path::Path};

use anyhow::Context;
use jiff::Timestamp;

use super::{Ending, log};
use crate::{
    hub::{
        HubConfig, serve_hub,
        store::{Role, Store},
    },
    keyholder::{KeyholderConfig, serve_keyholder},
    serve::{bind, shutdown_signal},
};

/// The runtime of the services.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}

/// Reads `hub.toml`.
pub(super) fn hub_config(path: &Path) -> anyhow::Result<HubConfig> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    HubConfig::parse(&text, folder).with_context(|| format!("{} is not valid", path.display()))
}

/// Ends when standard input does: a child that ends with its parent.
async fn stdin_closed() {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    drop(read);
}

async fn stop(with_parent: bool) {
    if with_parent {
        tokio::select! {
            () = stdin_closed() => {}
            () = shutdown_signal() => {}
        }
    } else {
        shutdown_signal().await;
    }
}

/// Says where it listens, for people and for scripts that asked for a free port.
fn announce(listener: &TcpListener, tls: bool) -> anyhow::Result<()> {
    let scheme = if tls { "https" } else { "http" };
    say!("listening on {scheme}://{}", listener.local_addr()?);
    Ok(())
}

pub(super) fn hub(path: &Path, with_parent: bool) -> anyhow::Result<Ending> {
    let config = hub_config(path)?;
    log::start();
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let listener = bind(&config.listen)?;
        announce(&listener, config.tls.is_some())?;
        Ok::<_, anyhow::Error>(serve_hub(&config, listener, stop(with_parent)).await?)
    });
    // A thread that waits for the end of standard input must not be waited for.
    runtime.shutdown_background();
    served.map(|()| Ending::Done)
}

pub(super) fn keyholder(path: &Path, with_parent: bool) -> anyhow::Result<Ending> {
    let config = KeyholderConfig::read(path)?;
    let keyholder = config.keyholder()?;
    log::start();
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let address = config.listen.as_deref().with_context(|| {
            format!(
                "{} gives no address to listen on: add listen = \"127.0.0.1:8081\"",
                path.display()
            )
        })?;
        let listener = bind(address)?;
        announce(&listener, config.tls.is_some())?;
        Ok::<_, anyhow::Error>(
            serve_keyholder(&config, keyholder, listener, stop(with_parent)).await?,
        )
    });
    runtime.shutdown_background();
    served.map(|()| Ending::Done)
}

/// Makes an account with a token straight in the hub's database: the first administrator has nobody to ask.
pub(super) fn token(path: &Path, user: &str, role: Role, days: i64) -> anyhow::Result<Ending> {
    let config = hub_config(path)?;
    let token = runtime()?.block_on(async {
        let store = Store::connect(&config.database).await?;
        let now = Timestamp::now();
        store.put_account(user, role, None, false, "command line", now).await?;
        store.give_token(user, "command line", days, "command line", now).await
    })?;
    eprintln!(
        "token of {user} ({}), valid until {}; it will not be shown again",
        role.word(),
        token.expires_at
    );
    say!("{}", token.token);
    Ok(Ending::Done)
}
