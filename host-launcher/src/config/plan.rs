//! The plan of a run.

use super::linux;
use super::needs::{Needs, NeedsError};
use super::{
    Backend, CpuList, EnvVar, Ip4, Ip6, Link, LinkPlan, LogLevel, MAX_CPUS, MemSize, NetError, Options, Poll,
    RouteError, Vhost, Volume,
};
use ix_abi::app::{MAX_LINKS, MAX_NAME_SERVERS};
use ix_abi::host::{area, cmdline};
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest kernel command line. What loads the kernel in QEMU (its `pvh.bin`) has a buffer of 4096 bytes for it and the
/// zero after it, and a longer one overwrites what lies behind.
const MAX_CMDLINE_BYTES: usize = 4095;

/// What will be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the user wants the machine to be.
    pub backend: Backend,
    /// What the other wishes make of it.
    pub needs: Needs,
    /// Name asked for.
    pub name: Option<String>,
    /// The program.
    pub app: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment: each variable with its last value.
    pub env: Vec<EnvVar>,
    /// Kernel image asked for.
    pub kernel: Option<PathBuf>,
    /// Guest memory.
    pub mem: MemSize,
    /// How many cores it has.
    pub cores: u16,
    /// How many of them work at first.
    pub active_cores: u16,
    /// Whether `ix` changes that as it sees fit.
    pub elastic: bool,
    /// Host cores for its CPUs, if they matter.
    pub cpus: Option<CpuList>,
    /// The networks it is on, each with its card: one at least.
    pub links: Vec<LinkPlan>,
    /// Directories the app sees.
    pub volumes: Vec<Volume>,
    /// Who moves a tap's packets on KVM.
    pub vhost: Vhost,
    /// How much the kernel tells, and `ix`.
    pub log: LogLevel,
    /// Where the kernel's log goes, if not to standard error.
    pub kernel_log: Option<PathBuf>,
    /// Time the app has to finish when asked to stop.
    pub grace: Duration,
    /// Further arguments for QEMU.
    pub qemu_args: Vec<String>,
    /// The kernel's command line.
    pub cmdline: String,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is nothing to run.
    #[error("no app given; write ix run [OPTIONS] APP [-- ARGS], or `app` in the configuration file")]
    NoApp,
    /// The name would not do as a file name.
    #[error("`{0}` is no name for a run; use letters, digits, dots, dashes and underscores, at most 64")]
    Name(String),
    /// More words for the kernel and the app than fit.
    #[error("the app's arguments and --env are too long by {0} bytes; put what is long into the app itself")]
    TooLong(usize),
    /// More cores than a machine can have, or none; the command line itself refuses these.
    #[error("{0} is no number of cores; a machine has 1 to {MAX_CPUS}")]
    Cores(u16),
    /// Two counts of the same.
    #[error("{cores} cores, but --cpus names {named}; each core (of --max-cores) needs one of the host's")]
    CoresAtOdds {
        /// How many were asked for.
        cores: u16,
        /// How many were named.
        named: u16,
    },
    /// More at first than there may be.
    #[error("--cores {cores}, but --max-cores {most}; ask for as many at most")]
    CoresAboveMost {
        /// How many were asked for.
        cores: u16,
        /// How many there may be.
        most: u16,
    },
    /// There is nothing to give or to take.
    #[error("--elastic needs cores to give; say with --max-cores how many it may have")]
    ElasticAlone,
    /// A wish about the machine, where there is none.
    #[error("{0} is about a machine, and with --backend linux there is none; leave out one of the two")]
    NeedsMachine(&'static str),
    /// Two volumes in one place.
    #[error("two volumes are at {0}; give each a place of its own")]
    SamePlace(String),
    /// More name servers than an app is told of.
    #[error("--dns names {0} servers; an app is told of {MAX_NAME_SERVERS} at most")]
    NameServers(usize),
    /// One that no datagram can be sent to.
    #[error("{0} is no single host's address; give --dns a name server's")]
    NameServer(IpAddr),
    /// The network's settings are at odds.
    #[error(transparent)]
    Net(#[from] NetError),
    /// More links than handles can tell apart.
    #[error("{0} links; a dataplane has {MAX_LINKS} at most")]
    Links(usize),
    /// Two links with the same.
    #[error("two links have {0}; give each one of its own")]
    SharedByLinks(String),
    /// A route leads nowhere.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// User networking carries ordinary frames.
    #[error(
        "--mtu above 1500 needs --net tap:NAME or a card of the host's; user networking carries no longer packets"
    )]
    UserNetMtu,
    /// A size that no link has; the command line itself refuses these for the first.
    #[error("{0} is no largest packet that a link can have; it is 68 to 9000 bytes")]
    Mtu(u16),
    /// A number that no VLAN has; the command line itself refuses these.
    #[error("{0} is no VLAN's number; these go from 1 to 4094")]
    Vlan(u16),
    /// User networking has none.
    #[error("--vlan needs --net tap:NAME or a card of the host's; user networking takes no tagged frames")]
    UserNetVlan,
    /// No one backend can do all of it.
    #[error(transparent)]
    Needs(#[from] NeedsError),
}

impl Plan {
    /// Fills in and checks.
    pub fn new(options: Options) -> Result<Self, PlanError> {
        let app = options.app.clone().ok_or(PlanError::NoApp)?;
        if options.backend == Some(Backend::Linux)
            && let Some(wish) = linux::machine_wish(&options)
        {
            return Err(PlanError::NeedsMachine(wish));
        }
        if let Some(name) = options.name.as_ref().filter(|name| !is_name(name)) {
            return Err(PlanError::Name(name.clone()));
        }
        let links = links(&options)?;
        let needs = Needs::of(&options, &links)?;
        check_places(&options.volume)?;
        check_name_servers(&options.dns)?;
        let (cores, active_cores) = cores(&options)?;
        if options.elastic && cores == 1 {
            return Err(PlanError::ElasticAlone);
        }
        let cmdline = kernel_cmdline(&options, cores, &links, &app);
        if cmdline.len() > MAX_CMDLINE_BYTES {
            return Err(PlanError::TooLong(cmdline.len() - MAX_CMDLINE_BYTES));
        }
        Ok(Self {
            backend: options.backend.unwrap_or(Backend::Auto),
            needs,
            name: options.name,
            app,
            env: last_of_each(&options.env).cloned().collect(),
            args: options.args,
            kernel: options.kernel,
            mem: options.mem.unwrap_or(MemSize::DEFAULT),
            cores,
            active_cores,
            elastic: options.elastic,
            cpus: options.cpus,
            links,
            volumes: options.volume,
            vhost: options.vhost.unwrap_or(Vhost::Auto),
            log: options.log.unwrap_or(LogLevel::Warn),
            kernel_log: options.kernel_log,
            grace: Duration::from_secs(options.grace.unwrap_or(3).into()),
            qemu_args: options.qemu_arg,
            cmdline,
        })
    }

    /// The name to use when none was asked for: the app's file name, in fitting letters.
    #[must_use]
    pub fn app_name(&self) -> String {
        let name = self.app.file_name().unwrap_or_default().to_string_lossy();
        let fitting = name.chars().map(|c| if is_name_char(c) { c } else { '_' });
        let name: String = fitting.take(40).collect();
        if is_name(&name) { name } else { "app".to_owned() }
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && !name.starts_with(['.', '-']) && name.chars().all(is_name_char)
}

/// How many there are, and how many of them work at first.
fn cores(options: &Options) -> Result<(u16, u16), PlanError> {
    let named = options
        .cpus
        .as_ref()
        .map(|cpus| u16::try_from(cpus.cores().len()).unwrap_or(u16::MAX));
    let mut given = [options.cores, options.max_cores].into_iter().flatten();
    if let Some(bad) = given.find(|&count| !(1..=MAX_CPUS).contains(&count.into())) {
        return Err(PlanError::Cores(bad));
    }
    let said = options.max_cores.or(options.cores);
    let most = match (said, named) {
        (Some(cores), Some(named)) if cores != named => return Err(PlanError::CoresAtOdds { cores, named }),
        (said, named) => said.or(named).unwrap_or(1),
    };
    match options.cores.unwrap_or(most) {
        cores if cores > most => Err(PlanError::CoresAboveMost { cores, most }),
        cores => Ok((most, cores)),
    }
}

/// All links, each checked by itself and against the others.
fn links(options: &Options) -> Result<Vec<LinkPlan>, PlanError> {
    let mut links = vec![LinkPlan::first(options)?];
    for choice in &options.link {
        links.push(LinkPlan::further(choice)?);
    }
    if links.len() > 1 && links[0].network.link == Link::Loopback {
        return Err(NetError::LoopbackAlone("--link").into());
    }
    if links.len() > MAX_LINKS {
        return Err(PlanError::Links(links.len()));
    }
    for (at, link) in links.iter().enumerate() {
        check_link(link)?;
        for other in &links[..at] {
            if let Some(same) = shared(link, other) {
                return Err(PlanError::SharedByLinks(same));
            }
        }
    }
    options.route.iter().try_for_each(|route| route.check(&links))?;
    Ok(links)
}

fn check_link(link: &LinkPlan) -> Result<(), PlanError> {
    let is_user = matches!(link.network.link, Link::User(_));
    match link.mtu {
        Some(mtu) if !(68..=9000).contains(&mtu) => return Err(PlanError::Mtu(mtu)),
        Some(mtu) if is_user && mtu > 1500 => return Err(PlanError::UserNetMtu),
        _ => {}
    }
    match link.vlan {
        Some(vlan) => check_vlan(vlan, &link.network.link),
        None => Ok(()),
    }
}

/// What two links must not have in common, and have.
fn shared(one: &LinkPlan, other: &LinkPlan) -> Option<String> {
    if one.network.link == other.network.link {
        return Some(one.network.link.to_string());
    }
    match (one.network.ip, other.network.ip) {
        (Some(Ip4::Fixed(one)), Some(Ip4::Fixed(other))) if one.addr() == other.addr() => {
            return Some(one.addr().to_string());
        }
        _ => {}
    }
    match (one.network.ip6, other.network.ip6) {
        (Some(Ip6::Fixed(one)), Some(Ip6::Fixed(other))) if one.addr() == other.addr() => {
            Some(one.addr().to_string())
        }
        _ => None,
    }
}

fn check_vlan(vlan: u16, link: &Link) -> Result<(), PlanError> {
    match (vlan, link) {
        (1..=4094, Link::User(_)) => Err(PlanError::UserNetVlan),
        (1..=4094, _) => Ok(()),
        _ => Err(PlanError::Vlan(vlan)),
    }
}

fn check_places(volumes: &[Volume]) -> Result<(), PlanError> {
    let twice =
        |(at, volume): (usize, &Volume)| volumes[..at].iter().any(|other| other.guest == volume.guest);
    match volumes.iter().enumerate().find(|&volume| twice(volume)) {
        Some((_, volume)) => Err(PlanError::SamePlace(volume.guest_path())),
        None => Ok(()),
    }
}

fn check_name_servers(servers: &[IpAddr]) -> Result<(), PlanError> {
    if servers.len() > MAX_NAME_SERVERS {
        return Err(PlanError::NameServers(servers.len()));
    }
    let is_host = |ip: &IpAddr| !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast());
    match servers.iter().find(|ip| !is_host(ip)) {
        Some(ip) => Err(PlanError::NameServer(*ip)),
        None => Ok(()),
    }
}

/// The words about each link in turn.
fn link_words(links: &[LinkPlan], setting: &mut impl FnMut(&str, &dyn std::fmt::Display)) {
    for (number, link) in links.iter().enumerate() {
        if number > 0 {
            setting(cmdline::LINK, &number);
        }
        let network = &link.network;
        if network.link == Link::Loopback {
            setting(cmdline::NIC, &cmdline::NIC_LOOPBACK);
        }
        if let Some(ip) = network.ip {
            setting(cmdline::IP, &ip);
        }
        if let Some(gateway) = network.gateway {
            setting(cmdline::GATEWAY, &gateway);
        }
        if let Some(ip6) = network.ip6 {
            setting(cmdline::IP6, &ip6);
        }
        if let Some(gateway) = network.gateway6 {
            setting(cmdline::GATEWAY6, &gateway);
        }
        if let Some(mtu) = link.mtu {
            setting(cmdline::MTU, &mtu);
        }
        if let Some(vlan) = link.vlan {
            setting(cmdline::VLAN, &vlan);
        }
    }
}

fn kernel_cmdline(options: &Options, cores: u16, links: &[LinkPlan], app: &Path) -> String {
    let mut line = format!("{}={:#x}", cmdline::HOST, area::HOST_AREA_GPA);
    let mut setting = |key: &str, value: &dyn std::fmt::Display| {
        line.push_str(&format!(" {key}={value}"));
    };
    link_words(links, &mut setting);
    for route in &options.route {
        setting(cmdline::ROUTE, route);
    }
    for server in &options.dns {
        setting(cmdline::DNS, server);
    }
    if cores > 1 {
        setting(cmdline::CORES, &cores);
    }
    if let Some(offload) = &options.offload {
        setting(cmdline::OFFLOAD, offload);
    }
    setting(cmdline::LOG, &options.log.map_or("warn", super::LogLevel::word));
    if let Some(Poll::Adaptive(budget)) = options.poll {
        setting(cmdline::IDLE, &budget.as_micros());
    }
    if let Some(batch) = options.batch {
        setting(cmdline::BATCH, &batch);
    }
    if let Some(seconds) = options.watchdog {
        setting(cmdline::WATCHDOG, &seconds);
    }
    if let Some(seconds) = options.watchdog_kill {
        setting(cmdline::WATCHDOG_KILL, &seconds);
    }
    for EnvVar { key, value } in &options.kernel_arg {
        setting(key, &cmdline::escape(value.as_bytes()).collect::<String>());
    }
    for EnvVar { key, value } in last_of_each(&options.env) {
        let escaped: String = cmdline::escape(format!("{key}={value}").as_bytes()).collect();
        setting(cmdline::ENV, &escaped);
    }
    line.push(' ');
    line.push_str(cmdline::END);
    let app = OsString::from(app);
    for arg in std::iter::once(&app).chain(&options.args) {
        line.push(' ');
        line.extend(cmdline::escape(arg.as_bytes()));
    }
    line
}

/// The variables in order, each with its last value only.
fn last_of_each(env: &[EnvVar]) -> impl Iterator<Item = &EnvVar> {
    let overridden = |at: usize| env[at + 1..].iter().any(|later| later.key == env[at].key);
    env.iter()
        .enumerate()
        .filter(move |&(at, _)| !overridden(at))
        .map(|(_, variable)| variable)
}

#[cfg(test)]
mod tests {
    use super::{Backend, NetError, Options, Plan, PlanError};

    fn options() -> Options {
        Options {
            app: Some("dir/my app".into()),
            ..Options::default()
        }
    }

    #[test]
    fn little_said_means_defaults() {
        let plan = Plan::new(options()).unwrap();
        assert_eq!(
            plan.cmdline,
            "host=0xf00000 ip=10.0.2.15/24 gw=10.0.2.2 log=warn -- dir/my%20app"
        );
        assert_eq!((plan.app_name().as_str(), plan.grace.as_secs()), ("my_app", 3));
    }

    #[test]
    fn everything_said_reaches_the_kernel() {
        let plan = Plan::new(Options {
            batch: Some(8),
            mtu: Some(1400),
            offload: "tso=off,lro=off".parse().ok(),
            watchdog: Some(5),
            watchdog_kill: Some(9),
            kernel_arg: vec!["key=1".parse().unwrap()],
            env: ["A=1", "B=x y%", "A=2"].map(|text| text.parse().unwrap()).into(),
            args: vec!["--port".into(), "7".into(), "".into()],
            ..options()
        });
        let expected = "mtu=1400 offload=tso=off,lro=off log=warn batch=8 watchdog=5 watchdogkill=9 key=1 \
                        env=B=x%20y%25 env=A=2 -- dir/my%20app --port 7 %";
        assert!(plan.unwrap().cmdline.ends_with(expected));
    }

    #[test]
    fn name_servers_are_hosts_and_at_most_three() {
        let plan = |servers: &[&str]| {
            Plan::new(Options {
                dns: servers.iter().map(|ip| ip.parse().unwrap()).collect(),
                ..options()
            })
        };
        let two = plan(&["10.0.2.3", "fd00::3"]).unwrap().cmdline;
        assert!(two.contains(" gw=10.0.2.2 dns=10.0.2.3 dns=fd00::3 "), "{two}");
        assert!(matches!(plan(&["10.0.2.3"; 4]), Err(PlanError::NameServers(4))));
        for bad in ["0.0.0.0", "127.0.0.53", "::1", "ff02::fb"] {
            assert!(matches!(plan(&[bad]), Err(PlanError::NameServer(_))), "{bad}");
        }
    }

    #[test]
    fn cores_are_counted_once() {
        let plan = |cores: Option<u16>, cpus: Option<&str>| {
            Plan::new(Options {
                cores,
                cpus: cpus.map(|list| list.parse().unwrap()),
                net: "tap:t0".parse().ok(),
                ip: "10.1.0.2/24".parse().ok(),
                ..options()
            })
        };
        for (cores, cpus, expected) in [
            (None, None, 1),
            (Some(4), None, 4),
            (None, Some("2,3"), 2),
            (Some(2), Some("2,3"), 2),
        ] {
            let plan = plan(cores, cpus).unwrap();
            assert_eq!(plan.cores, expected);
            assert_eq!(plan.cmdline.contains(" cores="), expected > 1);
        }
        let most = |cores, max_cores| {
            Plan::new(Options {
                cores,
                max_cores: Some(max_cores),
                ..options()
            })
        };
        let plan_of_few = most(Some(1), 4).unwrap();
        assert_eq!((plan_of_few.cores, plan_of_few.active_cores), (4, 1));
        assert!(plan_of_few.cmdline.contains(" cores=4 "));
        assert_eq!(most(None, 4).unwrap().active_cores, 4);
        assert!(matches!(
            most(Some(5), 4),
            Err(PlanError::CoresAboveMost { cores: 5, most: 4 })
        ));
        let elastic = |max_cores| {
            Plan::new(Options {
                max_cores,
                elastic: true,
                poll: "adaptive:50".parse().ok(),
                ..options()
            })
        };
        assert!(elastic(Some(2)).unwrap().cmdline.contains(" idle=50 "));
        assert!(matches!(elastic(None), Err(PlanError::ElasticAlone)));
        let at_odds = plan(Some(3), Some("2,3"));
        assert!(matches!(
            at_odds,
            Err(PlanError::CoresAtOdds { cores: 3, named: 2 })
        ));
        for cores in [0, 65] {
            assert!(matches!(plan(Some(cores), None), Err(PlanError::Cores(_))));
        }
    }

    #[test]
    fn a_process_has_no_use_for_what_is_said_of_a_machine() {
        let linux = || Options {
            backend: Some(Backend::Linux),
            env: vec!["A=1".parse().unwrap(), "A=2".parse().unwrap()],
            args: vec!["--port".into()],
            ..options()
        };
        let plan = Plan::new(linux()).unwrap();
        assert_eq!(plan.env, ["A=2".parse().unwrap()]);
        assert_eq!(plan.args, ["--port"]);
        let ip = Plan::new(Options {
            ip: "10.1.0.2/24".parse().ok(),
            ..linux()
        });
        assert!(matches!(ip, Err(PlanError::NeedsMachine("--ip"))));
        let forward = Plan::new(Options {
            forward: vec!["1:1".parse().unwrap()],
            ..linux()
        });
        assert!(matches!(forward, Err(PlanError::NeedsMachine("--forward"))));
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused() {
        let plan = |len: usize| {
            Plan::new(Options {
                args: vec!["x".repeat(len).into()],
                ..options()
            })
        };
        let fixed = plan(1).unwrap().cmdline.len() - 1;
        assert_eq!(plan(4095 - fixed).unwrap().cmdline.len(), 4095);
        assert!(matches!(plan(4098 - fixed), Err(PlanError::TooLong(3))));
    }

    #[test]
    fn long_packets_need_a_link_that_carries_them() {
        let plan = |net: &str| {
            Plan::new(Options {
                net: net.parse().ok(),
                ip: "10.1.0.3/24".parse().ok(),
                mtu: Some(9000),
                ..options()
            })
        };
        assert!(plan("tap:t0").unwrap().cmdline.contains(" mtu=9000 "));
        assert!(matches!(plan("user"), Err(PlanError::UserNetMtu)));
    }

    #[test]
    fn a_vlan_has_a_number_and_a_link_that_carries_tags() {
        let plan = |net: &str, vlan| {
            Plan::new(Options {
                net: net.parse().ok(),
                ip: "10.1.0.3/24".parse().ok(),
                vlan: Some(vlan),
                ..options()
            })
        };
        for vlan in [1, 4094] {
            let cmdline = plan("tap:t0", vlan).unwrap().cmdline;
            assert!(cmdline.contains(&format!(" vlan={vlan} ")), "{cmdline}");
        }
        for vlan in [0, 4095, u16::MAX] {
            assert!(matches!(plan("tap:t0", vlan), Err(PlanError::Vlan(refused)) if refused == vlan));
        }
        assert!(matches!(plan("user", 7), Err(PlanError::UserNetVlan)));
    }

    #[test]
    fn links_follow_each_other_on_the_kernels_line() {
        let plan = |links: &[&str], routes: &[&str]| {
            Plan::new(Options {
                net: "tap:t0".parse().ok(),
                ip: "10.1.0.2/24".parse().ok(),
                mtu: Some(1400),
                link: links.iter().map(|text| text.parse().unwrap()).collect(),
                route: routes.iter().map(|text| text.parse().unwrap()).collect(),
                ..options()
            })
        };
        let two = plan(&["net=tap:t1,ip=10.2.0.2/24,vlan=7"], &["10.9.0.0/16=10.2.0.1"]).unwrap();
        let words = " ip=10.1.0.2/24 mtu=1400 link=1 ip=10.2.0.2/24 vlan=7 route=10.9.0.0/16,10.2.0.1 log=";
        assert!(two.cmdline.contains(words), "{}", two.cmdline);
        let looped = Plan::new(Options {
            nic: "loopback".parse().ok(),
            link: vec!["net=tap:t1".parse().unwrap()],
            ..options()
        });
        assert!(matches!(
            looped,
            Err(PlanError::Net(NetError::LoopbackAlone("--link")))
        ));
        let shared = plan(&["net=tap:t0"], &[]);
        assert!(matches!(shared, Err(PlanError::SharedByLinks(what)) if what == "tap:t0"));
        let shared = plan(&["net=tap:t1,ip=10.1.0.2/16"], &[]);
        assert!(matches!(shared, Err(PlanError::SharedByLinks(what)) if what == "10.1.0.2"));
        let taps: Vec<_> = (1..=8).map(|number| format!("net=tap:t{number}")).collect();
        let taps: Vec<_> = taps.iter().map(String::as_str).collect();
        assert!(plan(&taps[1..], &[]).is_ok());
        assert!(matches!(plan(&taps, &[]), Err(PlanError::Links(9))));
        assert!(matches!(
            plan(&["net=tap:t1,mtu=67"], &[]),
            Err(PlanError::Mtu(67))
        ));
        assert!(matches!(
            plan(&["net=tap:t1,vlan=0"], &[]),
            Err(PlanError::Vlan(0))
        ));
        let lost = plan(&[], &["10.9.0.0/16=10.2.0.1"]);
        assert!(matches!(lost, Err(PlanError::Route(_))));
        assert!(plan(&["net=tap:t1,ip=dhcp"], &["10.9.0.0/16=10.2.0.1"]).is_ok());
    }

    #[test]
    fn two_volumes_in_one_place_are_refused() {
        let plan = |places: [&str; 2]| {
            Plan::new(Options {
                volume: places.map(|text| text.parse().unwrap()).into(),
                ..options()
            })
        };
        assert!(plan(["/a:/x", "/b:/x/y:ro"]).is_ok());
        let refused = plan(["/a:/x", "/b:/x/:ro"]);
        assert!(matches!(refused, Err(PlanError::SamePlace(place)) if place == "/x"));
    }

    #[test]
    fn an_app_is_needed_and_a_name_must_be_one() {
        assert!(matches!(Plan::new(Options::default()), Err(PlanError::NoApp)));
        for name in ["", "a/b", "..", "-x", "ä", &"n".repeat(65)] {
            let plan = Plan::new(Options {
                name: Some(name.to_owned()),
                ..options()
            });
            assert!(matches!(plan, Err(PlanError::Name(_))), "{name}");
        }
    }
}
