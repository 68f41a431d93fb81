//! Installs what tests need and this machine lacks, with the machine's package manager.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use testkit::process::installed;

/// Package managers, and their arguments to install a package.
const PACKAGE_MANAGERS: [(&str, &[&str]); 4] = [
    ("apt-get", &["install", "--yes", "--no-install-recommends"]),
    ("dnf", &["install", "--assumeyes"]),
    ("apk", &["add"]),
    ("brew", &["install"]),
];

/// Installs what is missing and says so, unless it `is_there` already. Installs the packages in
/// `debian` on Debian, and the package `elsewhere` on other systems.
///
/// # Errors
/// When there is no package manager, or it fails, or the packages do not bring what is missing.
pub(crate) fn install(
    what: &str,
    debian: &[&str],
    elsewhere: &str,
    is_there: impl Fn() -> bool,
) -> Result<()> {
    if is_there() {
        return Ok(());
    }
    let manager = PACKAGE_MANAGERS
        .into_iter()
        .find(|(manager, _)| is_installed(manager));
    let Some((manager, arguments)) = manager else {
        bail!("{what} is missing and there is no package manager known here; install it");
    };
    let is_debian = manager == "apt-get";
    let elsewhere = [elsewhere];
    let packages = if is_debian { debian } else { &elsewhere };
    crate::say(format_args!(
        "{what} is missing; installing it: {manager} {} {}",
        arguments.join(" "),
        packages.join(" ")
    ));
    if is_debian {
        // A new machine does not have package lists yet.
        run(as_root(manager).args(["update", "-qq"]))?;
    }
    let mut install = if manager == "brew" {
        Command::new(manager)
    } else {
        as_root(manager)
    };
    install.args(arguments).args(packages);
    run(&mut install).with_context(|| format!("install {what} yourself, then run this again"))?;
    ensure!(is_there(), "{manager} installed no {what}");
    Ok(())
}

/// A package manager with the rights that it needs: by `sudo`, unless this is root already.
fn as_root(manager: &str) -> Command {
    let may_install = rustix::process::geteuid().is_root() || !is_installed("sudo");
    let mut command = Command::new(if may_install { "env" } else { "sudo" });
    if !may_install {
        command.arg("env");
    }
    // Debian would start a server at once, which nobody wants here.
    let quietly = ["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
    command.args(quietly).arg(manager);
    command
}

/// Whether a program of this name can be run.
pub(crate) fn is_installed(program: &str) -> bool {
    installed(program).next().is_some()
}

/// Runs a command and waits for its end. Returns an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}
