//! Tests read the output of processes, and no process survives its test.

use std::path::Path;
use std::time::Duration;

use testkit::eventually;
use testkit::process::{Process, Signal};

/// A shell program: it starts quickly, and prints as much as a test needs.
fn shell(script: &str) -> Process {
    let envs = [("GREETING", "hello".to_owned())];
    Process::spawn("the shell", "/bin/sh", &["-c", script], &envs)
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn log_lines_are_found_past_and_future() {
    let process = shell(
        r#"trap "echo '{\"event\":\"synced\",\"films\":2}' >&2" TERM
        echo 'not json' >&2
        echo '{"event":"synced","films":1}' >&2
        while :; do sleep 0.05; done"#,
    );
    let first = process.wait_for_log("synced", |_| true).await;
    assert_eq!(first["films"], 1);
    let mark = process.mark();
    process.signal(Signal::Term);
    let second = process
        .wait_for_log("synced", |log| log["films"] == 2)
        .await;
    assert_eq!(
        second,
        process.wait_for_log_since(mark, "synced", |_| true).await
    );
    assert_eq!(process.logs(), [first, second]);
}

#[tokio::test]
#[should_panic(expected = "the shell ended without logging \"synced\"")]
async fn an_exit_is_noticed_while_waiting_for_a_log_line() {
    shell("echo goodbye").wait_for_log("synced", |_| true).await;
}

#[tokio::test]
async fn signals_arrive() {
    let mut process =
        shell(r#"trap 'exit 7' TERM; echo '{"event":"ready"}' >&2; while :; do sleep 0.05; done"#);
    process.wait_for_log("ready", |_| true).await;
    process.signal(Signal::Stop);
    process.signal(Signal::Term);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(process.is_running(), "frozen, so it cannot react");

    process.signal(Signal::Cont);
    assert_eq!(process.wait().await.code(), Some(7));
    process.signal(Signal::Kill);
    assert!(!process.is_running());
}

#[tokio::test]
async fn dropping_kills_a_frozen_process() {
    let process = shell("exec sleep 60");
    let pid = process.pid();
    process.signal(Signal::Stop);
    assert!(is_alive(pid));
    drop(process);
    eventually("the process is gone", Duration::from_secs(5), async || {
        !is_alive(pid)
    })
    .await;
}
