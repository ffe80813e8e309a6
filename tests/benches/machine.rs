//! The machine as a benchmark sees it: what it is, what else runs, which core a process is kept on, how much of a core it took.

use std::{fs, process::Command, time::Duration};

use crate::{Failure, figures::say};

/// Where everything that is measured runs.
pub(crate) const SERVERS: &str = "0";
/// Where the load comes from.
pub(crate) const LOAD: &str = "1";
/// Linux tells every program times in hundredths of a second, whatever the kernel's own tick.
const TICK: Duration = Duration::from_millis(10);

/// Says what the figures were measured on.
pub(crate) fn describe() -> Result<(), Failure> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    if cores.get() < 2 {
        return Err("two cores are needed: one for what is measured, one for the load".into());
    }
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    say(&format!("machine: {cores} cores, {}, Linux {}", model.trim_matches([' ', '\t', ':']), kernel.trim()));
    Ok(())
}

/// How many processes wanted to run of late: what else ran, in one number.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Keeps a process, its children, all of their threads, and whatever they start from now on, on these cores.
pub(crate) fn pin(process: u32, cores: &str) -> Result<(), Failure> {
    family(process)?.into_iter().try_for_each(|member| pin_alone(member, cores))
}

fn pin_alone(process: u32, cores: &str) -> Result<(), Failure> {
    let output = Command::new("taskset").args(["-a", "-c", "-p", cores, &process.to_string()]).output()?;
    let is_done = output.status.success() || fields(process).is_err();
    if is_done { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}

/// Keeps this process on the core of the load, and gives it every core again when dropped: programs started meanwhile would
/// otherwise inherit it, and count one core.
pub(crate) struct OnLoadCore(());

impl OnLoadCore {
    pub(crate) fn new() -> Result<Self, Failure> {
        pin_alone(std::process::id(), LOAD)?;
        Ok(Self(()))
    }
}

impl Drop for OnLoadCore {
    fn drop(&mut self) {
        // A failure shows in the next benchmark's figures and in nothing else.
        drop(pin_alone(std::process::id(), &format!("{SERVERS},{LOAD}")));
    }
}

/// The processor time of some processes and of their children, those that have ended included.
pub(crate) fn processor_time(processes: &[u32]) -> Result<Duration, Failure> {
    let mut ticks = 0;
    for process in processes {
        // utime, stime, cutime, cstime: proc_pid_stat(5), fields 14 to 17. One that ends meanwhile counts among its parent's.
        let members = family(*process)?.into_iter().filter_map(|member| fields(member).ok());
        ticks +=
            members.flat_map(|fields| fields.into_iter().skip(13).take(4)).map(|field| field.parse().unwrap_or(0)).sum::<u32>();
    }
    Ok(TICK * ticks)
}

/// The most memory that a process has held, in MB, since it was forgotten.
pub(crate) fn peak_memory(process: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the kernel does not say the peak")?;
    let kilobytes: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}

/// Has the peak begin anew at what is held now: proc(5), `clear_refs`.
pub(crate) fn forget_peak(process: u32) -> Result<(), Failure> {
    Ok(fs::write(format!("/proc/{process}/clear_refs"), "5")?)
}

/// A process and its children.
fn family(parent: u32) -> Result<Vec<u32>, Failure> {
    let mut members = vec![parent];
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if parent_of(process).is_ok_and(|found| found == parent) {
            members.push(process);
        }
    }
    Ok(members)
}

/// The parent of a process: field 4.
pub(crate) fn parent_of(process: u32) -> Result<u32, Failure> {
    Ok(fields(process)?.get(3).ok_or("a short line in /proc")?.parse()?)
}

/// The fields of `/proc/PID/stat`, from the first; a program's name may hold anything, so it is cut out by its last bracket.
fn fields(process: u32) -> Result<Vec<String>, Failure> {
    let line = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let rest = line.rsplit_once(')').ok_or("an odd line in /proc")?.1;
    let head = ["pid".to_owned(), "name".to_owned()];
    Ok(head.into_iter().chain(rest.split_whitespace().map(str::to_owned)).collect())
}
