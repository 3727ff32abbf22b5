use super::I82574L;
use super::fake::FakeHost;
use crate::config::Bdf;
use crate::nic::{Force, Nic, NicError, bind, repair, take, unbind};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// A card that an `ix` took that was killed.
fn left_behind() -> (FakeHost, Bdf) {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("e1000e"), Some(4), "eth0");
    abandon(&host, bdf);
    (host, bdf)
}

/// Takes it, and is killed; a later process has the same number.
fn abandon(host: &FakeHost, bdf: Bdf) {
    std::mem::forget(take(&host.host, bdf).unwrap());
    host.process(std::process::id(), 8);
}

#[test]
fn the_next_run_repairs() {
    let (host, bdf) = left_behind();
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
    let repaired = repair(&host.host);
    assert_eq!(repaired.len(), 1);
    assert_eq!(repaired[0].0, bdf);
    assert_eq!(repaired[0].1.as_ref().unwrap().as_deref(), Some("e1000e"));
    assert_eq!(host.driver(bdf).as_deref(), Some("e1000e"));
    assert!(repair(&host.host).is_empty());
}

#[test]
fn unbind_repairs() {
    let (host, bdf) = left_behind();
    assert_eq!(unbind(&host.host, bdf).unwrap().as_deref(), Some("e1000e"));
    assert_eq!(host.driver(bdf).as_deref(), Some("e1000e"));
}

#[test]
fn the_list_tells() {
    let (host, bdf) = left_behind();
    let nic = Nic::read(&host.host, bdf).unwrap();
    assert_eq!(nic.returns_to.as_deref(), Some("e1000e"));
    assert!(nic.obstacles.is_empty());
}

#[test]
fn taking_the_same_card_again_remembers_its_first_driver() {
    let (host, bdf) = left_behind();
    take(&host.host, bdf).unwrap().give_back().unwrap();
    assert_eq!(host.driver(bdf).as_deref(), Some("e1000e"));
}

#[test]
fn a_kill_right_after_the_journal_was_written_does_no_harm() {
    let (host, bdf) = left_behind();
    // As if nothing but the journal had been written.
    let device = host.host.path("/sys/bus/pci/devices/0000:01:00.0");
    std::fs::remove_file(device.join("driver")).unwrap();
    std::os::unix::fs::symlink(
        host.host.path("/sys/bus/pci/drivers/e1000e"),
        device.join("driver"),
    )
    .unwrap();
    std::fs::write(device.join("driver_override"), "(null)\n").unwrap();
    assert_eq!(repair(&host.host).len(), 1);
    assert_eq!(host.driver(bdf).as_deref(), Some("e1000e"));
}

#[test]
fn what_was_bound_to_stay_stays() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("e1000e"), Some(4), "eth0");
    bind(&host.host, bdf, Force::No).unwrap();
    abandon(&host, bdf);
    assert_eq!(
        repair(&host.host)[0].1.as_ref().unwrap().as_deref(),
        Some("vfio-pci")
    );
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
    assert_eq!(unbind(&host.host, bdf).unwrap().as_deref(), Some("e1000e"));
}

#[test]
fn a_living_holder_is_left_alone() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("e1000e"), Some(4), "eth0");
    let taken = take(&host.host, bdf).unwrap();
    assert!(repair(&host.host).is_empty());
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
    drop(taken);
}

#[test]
fn a_card_that_was_pulled_out_is_forgotten() {
    let (host, bdf) = left_behind();
    std::fs::remove_dir_all(host.host.path("/sys/bus/pci/devices/0000:01:00.0")).unwrap();
    assert!(repair(&host.host)[0].1.is_ok());
    assert!(repair(&host.host).is_empty());
    assert!(unbind(&host.host, bdf).is_err());
}

#[test]
fn a_journal_of_nonsense_is_none() {
    let (host, _) = left_behind();
    host.file("/run/ix/nic/0000:01:00.0", "{\"old_driver\": 7}");
    assert!(repair(&host.host).is_empty());
}

#[test]
fn a_card_that_is_still_open_is_waited_for_but_not_for_ever() {
    let (host, bdf) = left_behind();
    host.kernel().open.store(true, Ordering::Relaxed);
    assert!(matches!(unbind(&host.host, bdf), Err(NicError::StillOpen(_, 4))));
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            host.kernel().open.store(false, Ordering::Relaxed);
        });
        assert_eq!(unbind(&host.host, bdf).unwrap().as_deref(), Some("e1000e"));
    });
}
