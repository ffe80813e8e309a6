//! A child ends with its guard, and its own children with it.

use std::{path::Path, time::Duration};

use lockstep_tests::harness::{
    HarnessError, Scratch, eventually,
    process::{Launch, Process, find},
};

fn lives(process: &str) -> bool {
    Path::new("/proc").join(process).join("stat").exists()
}

#[tokio::test]
async fn a_child_that_ignores_farewells_is_killed_with_its_children() {
    let folder = Scratch::new("stubborn").unwrap();
    let script = "trap '' TERM; tail -f /dev/null & echo $! > child; wait; tail -f /dev/null";
    let launch =
        Launch::new("sh", find("sh", &[]).unwrap(), folder.path().join("log")).args(["-c", script]).folder(folder.path());
    let mut process = Process::start(&launch).unwrap();
    let file = folder.path().join("child");
    let child = eventually("the child's id", Duration::from_secs(5), async || {
        std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'))
    })
    .await
    .unwrap();
    let (parent, child) = (process.id().to_string(), child.trim().to_owned());
    assert!(lives(&parent) && lives(&child));

    process.kill().await.unwrap();

    assert!(!lives(&parent));
    eventually("the child's end", Duration::from_secs(5), async || (!lives(&child)).then_some(())).await.unwrap();
}

#[tokio::test]
async fn an_early_end_is_reported_with_the_log() {
    let folder = Scratch::new("early").unwrap();
    let launch =
        Launch::new("sh", find("sh", &[]).unwrap(), folder.path().join("log")).args(["-c", "echo cannot open the door; exit 3"]);
    let mut process = Process::start(&launch).unwrap();

    let error = process.ready(Duration::from_secs(10), async || None::<()>).await.unwrap_err();

    assert!(
        matches!(&error, HarnessError::Ended { status, log, .. } if status.code() == Some(3) && log == "cannot open the door"),
        "{error}"
    );
}
