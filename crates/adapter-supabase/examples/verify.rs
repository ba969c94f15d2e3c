//! Says who a session token speaks for:
//! `cargo run -p b24sync-adapter-supabase --example verify -- https://abcdefghijklmnopqrst.supabase.co < token`

use std::sync::Arc;

use b24sync_adapter_supabase::{SupabaseAuthenticator, SupabaseSettings};
use b24sync_domain::ports::{Authenticator as _, Clock};
use chrono::{DateTime, Utc};

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        std::time::SystemTime::now().into()
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this program's purpose")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("name the project's address")?;
    // Not an argument: arguments are seen by every user of the machine.
    let token = std::io::read_to_string(std::io::stdin())?;
    let authenticator = SupabaseAuthenticator::new(&SupabaseSettings::new(url), Arc::new(SystemClock))?;
    let identity = authenticator.identify(token.trim()).await?;
    println!("{} is {}", identity.subject, identity.role.map_or("known, without a role", |role| role.as_str()));
    Ok(())
}
