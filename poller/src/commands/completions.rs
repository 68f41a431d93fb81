//! `ghibli-poller completions`: a script that completes the commands in a shell.

use std::process::ExitCode;

use clap_complete::Shell;
use shared::service::console;

/// Prints the script for a shell.
pub fn run(shell: Shell, mut command: clap::Command) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script);
    console::finish(script.trim_end(), ExitCode::SUCCESS)
}
