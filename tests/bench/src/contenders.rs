//! Who is measured: the service, and the Python stack.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::database::Server;
use crate::portal::Portal;
use crate::process::{self, Finished};

/// What one sync took.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) peak_mib: f64,
    pub(crate) requests: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) postgres_cpu_seconds: f64,
    pub(crate) portal_cpu_seconds: f64,
}

/// What the contenders share: the place for their files, the programs, and the server.
pub(crate) struct Setting {
    pub(crate) folder: PathBuf,
    pub(crate) programs: PathBuf,
    pub(crate) server: Server,
}

impl Setting {
    /// Measures a program that syncs from `portal`.
    async fn measure(&self, portal: &Portal, command: &mut Command) -> Result<(Measured, Finished)> {
        self.server.settle().await?;
        portal.reset()?;
        let (postgres_before, portal_before) = (self.server.cpu_seconds(), portal.cpu_seconds());
        let finished = process::run(&self.folder, command).await?;
        let measured = Measured {
            seconds: finished.seconds,
            peak_mib: finished.peak_mib,
            requests: f64::from(u32::try_from(portal.requests()?)?),
            cpu_seconds: finished.cpu_seconds,
            postgres_cpu_seconds: self.server.cpu_seconds() - postgres_before,
            portal_cpu_seconds: portal.cpu_seconds() - portal_before,
        };
        Ok((measured, finished))
    }

    /// The service with nothing in its environment but what it needs, in a folder without a `.env`.
    fn service(&self, database: &str, webhook: &str) -> Command {
        let mut command = Command::new(self.programs.join("b24sync"));
        command.current_dir(&self.folder).env_clear();
        command.env("DATABASE_URL", self.server.url(database)).env("BITRIX_WEBHOOK_URL", webhook);
        command.env("BITRIX_ALLOW_LOOPBACK", "true");
        command.env("BITRIX_RATE_PER_SECOND", "10000").env("BITRIX_RATE_BURST", "100000");
        command
    }

    /// Makes an empty database with the service's own tables; returns the seconds that these took.
    pub(crate) async fn prepare(&self, database: &str) -> Result<f64> {
        self.server.fresh(database).await?;
        let mut command = self.service(database, "http://127.0.0.1:9/rest/1/abcdefgh12345678/");
        Ok(process::run(&self.folder, command.arg("migrate")).await?.seconds)
    }

    /// A full sync of deals, from the start of the program to its end. `written` are the rows that it must write.
    pub(crate) async fn sync(&self, database: &str, portal: &Portal, written: usize) -> Result<Measured> {
        let mut command = self.service(database, &portal.url());
        let command = command.args(["sync", "deal", "--full", "--no-migrate", "--output", "json"]);
        let (measured, finished) = self.measure(portal, command).await?;
        check(&finished, written)?;
        Ok(measured)
    }

    /// A full sync that nobody measures, through another address of the portal.
    pub(crate) async fn sync_through(&self, database: &str, webhook: &str) -> Result<()> {
        let mut command = self.service(database, webhook);
        process::run(&self.folder, command.args(["sync", "deal", "--full", "--no-migrate"])).await.map(drop)
    }
}

fn check(finished: &Finished, written: usize) -> Result<()> {
    let summary: Value = serde_json::from_str(&finished.output).context("the service said no JSON")?;
    let status = summary.pointer("/0/status").and_then(Value::as_str);
    ensure!(status == Some("completed"), "the sync ended as {status:?}");
    let rows = summary.pointer("/0/rows_written").and_then(Value::as_u64);
    ensure!(rows == u64::try_from(written).ok(), "{rows:?} rows were written, not {written}");
    Ok(())
}

/// The Python stack, ready to run.
pub(crate) struct PythonStack {
    script: PathBuf,
    python: PathBuf,
}

impl PythonStack {
    /// Makes its virtual environment in `cache`, unless it is there.
    pub(crate) fn install(folder: &Path, cache: &Path) -> Result<Self> {
        let script = fs::canonicalize(folder.join("sync.py"))
            .with_context(|| format!("no sync.py in `{}`", folder.display()))?;
        let requirements = folder.join("requirements.txt");
        let environment = cache.join("venv");
        let python = environment.join("bin/python");
        let installed = environment.join("installed.txt");
        let wanted = fs::read_to_string(&requirements).context("no requirements.txt beside sync.py")?;
        if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
            return Ok(Self { script, python });
        }
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        succeed(Command::new(&python).args(install).arg(&requirements))?;
        fs::write(installed, wanted)?;
        Ok(Self { script, python })
    }

    /// A full sync of deals in its best variant. `again` keeps the table. Its seconds are its own: they begin when the
    /// interpreter and its libraries are loaded.
    pub(crate) async fn sync(
        &self,
        setting: &Setting,
        database: &str,
        portal: &Portal,
        again: bool,
    ) -> Result<Measured> {
        let dsn = setting.server.url(database).replacen("postgresql://", "postgresql+asyncpg://", 1);
        let mut command = Command::new(&self.python);
        command.args(["-W", "ignore"]).arg(&self.script).args(["--portal", &portal.url(), "--dsn", &dsn]);
        command.args(["--batch", "1000", "--mode", "many"]).current_dir(&setting.folder);
        if again {
            command.arg("--keep");
        }
        let (measured, finished) = setting.measure(portal, command.env("PYTHONDONTWRITEBYTECODE", "1")).await?;
        let summary: Value = serde_json::from_str(&finished.output).context("the Python stack said no JSON")?;
        let seconds = summary
            .get("total_s")
            .and_then(Value::as_f64)
            .with_context(|| format!("the Python stack said {summary}"))?;
        Ok(Measured { seconds, ..measured })
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let output =
        command.output().with_context(|| format!("cannot run `{}`", command.get_program().to_string_lossy()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
