//! The `portal-emulator` binary: a portal on a port until SIGTERM.

use std::io::{self, Write as _};
use std::net::TcpListener;

use b24sync_portal_emulator::{Accounting, Counts, OperatingLimit, Portal, PortalConfig, RateLimit};
use clap::Parser;

/// A Bitrix24 portal in memory: serves its REST API on 127.0.0.1 until it is told to stop.
#[derive(Debug, Parser)]
#[command(version)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of one command line")]
struct Arguments {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8899)]
    port: u16,
    /// Everything generated follows from it.
    #[arg(long, default_value_t = 24)]
    seed: u64,
    /// Number of deals.
    #[arg(long, default_value_t = 12_000)]
    deals: u64,
    /// Number of leads.
    #[arg(long, default_value_t = 6_000)]
    leads: u64,
    /// Number of contacts.
    #[arg(long, default_value_t = 9_000)]
    contacts: u64,
    /// Number of companies.
    #[arg(long, default_value_t = 2_500)]
    companies: u64,
    /// User fields of each entity.
    #[arg(long, default_value_t = 55)]
    user_fields: usize,
    /// Records of each entity with a value that cannot be stored.
    #[arg(long, default_value_t = 0)]
    poison: u64,
    /// Only ordinary values: no odd characters, empty forms or big numbers.
    #[arg(long)]
    plain: bool,
    /// Requests that drain from the leaky bucket every second; without it there is no limit.
    #[arg(long)]
    rate: Option<f64>,
    /// Requests that the bucket holds.
    #[arg(long, default_value_t = 50.0, requires = "rate")]
    burst: f64,
    /// Seconds of operating time per method and window; without it there is no limit.
    #[arg(long)]
    operating: Option<f64>,
    /// Seconds of that window.
    #[arg(long, default_value_t = 600.0, requires = "operating")]
    operating_window: f64,
    /// Seconds of operating time that a page of a list costs.
    #[arg(long, default_value_t = 0.1, requires = "operating")]
    page_cost: f64,
    /// Charge commands of batches to `batch` instead of to their methods.
    #[arg(long, requires = "operating")]
    charge_batch: bool,
    /// Calls last as long as they cost.
    #[arg(long, requires = "operating")]
    real_cost: bool,
    /// Offset of the server from UTC in minutes.
    #[arg(long, default_value_t = 180, allow_negative_numbers = true)]
    offset: i32,
    /// The secret in the webhook address.
    #[arg(long, default_value = "f4k3w3bh00kc0d3x")]
    code: String,
    /// What the portal is known by whatever its address.
    #[arg(long, default_value = "0b24e000000000000000000000000001")]
    member_id: String,
    /// Scheme, host and port that the portal gives to others, for instance those of a proxy before it.
    #[arg(long)]
    public_url: Option<String>,
    /// Keep rows of lists once they were written: some 3 KiB of memory a record and dialect, and several times the
    /// speed.
    #[arg(long)]
    keep_rows: bool,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Print nothing but the webhook address.
    #[arg(long)]
    print_url: bool,
}

impl Arguments {
    fn config(&self) -> PortalConfig {
        let counts =
            Counts { deals: self.deals, leads: self.leads, contacts: self.contacts, companies: self.companies };
        let operating = |limit_seconds| OperatingLimit {
            limit_seconds,
            window_seconds: self.operating_window,
            cost_per_page: self.page_cost,
            takes_time: self.real_cost,
            accounting: if self.charge_batch { Accounting::Batch } else { Accounting::PerMethod },
            ..OperatingLimit::default()
        };
        PortalConfig {
            seed: self.seed,
            counts,
            user_fields: self.user_fields,
            poison: self.poison,
            odd_values: !self.plain,
            rate: self.rate.map(|per_second| RateLimit { per_second, burst: self.burst }),
            operating: self.operating.map(operating),
            offset_minutes: self.offset,
            webhook_code: self.code.clone(),
            member_id: self.member_id.clone(),
            public_url: self.public_url.clone(),
            keep_rows: self.keep_rows,
            workers: self.workers,
            ..PortalConfig::demo()
        }
    }
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", arguments.port))?;
    let portal = Portal::new(arguments.config());
    let address = format!("http://{}{}", listener.local_addr()?, portal.webhook_path());
    let mut stdout = io::stdout().lock();
    if arguments.print_url {
        writeln!(stdout, "{address}")?;
    } else {
        writeln!(stdout, "webhook  {address}\nadmin    http://{}/__admin/", listener.local_addr()?)?;
    }
    stdout.flush()?;
    drop(stdout);
    portal.serve_until_signal(listener)
}
