//! What a shell and `man` want to know of the commands, made from the arguments themselves.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Ending, arguments::Arguments};

/// Prints the completions of a shell.
pub(super) fn completions(shell: Shell) -> Ending {
    clap_complete::generate(shell, &mut Arguments::command(), "tributary", &mut io::stdout());
    Ending::Done
}

/// Writes a manual page for each command into a folder.
pub(super) fn manual(folder: &Path) -> anyhow::Result<Ending> {
    let context = || format!("{} cannot be written: choose a folder of your own", folder.display());
    fs::create_dir_all(folder).with_context(context)?;
    clap_mangen::generate_to(Arguments::command(), folder).with_context(context)?;
    let pages = fs::read_dir(folder).with_context(context)?.count();
    say!(
        "{pages} manual pages in {}; read one with: man -l {}/tributary.1",
        folder.display(),
        folder.display()
    );
    Ok(Ending::Done)
}
