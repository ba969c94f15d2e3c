//! Runs the PostgreSQL programs with a time limit.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::EmbeddedError;

const POLL: Duration = Duration::from_millis(5);

/// What a program printed, when it succeeded or not.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` to its end and reads what it prints. Meant for programs that print less than a pipe holds
/// (64 KiB) and leave no process behind: a server that inherited the pipe would keep it open for ever.
pub(crate) fn answer(command: &mut Command, input: &str, limit: Duration) -> Result<Answer, EmbeddedError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| EmbeddedError::Spawn { tool: name(command), source })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input reports that by its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let success = wait(&mut child, command, limit)?;
    Ok(Answer { success, stdout: text(child.stdout.take()), stderr: text(child.stderr.take()) })
}

/// Like [`answer`], and a failure of the program is an error.
pub(crate) fn succeed(command: &mut Command, input: &str, limit: Duration) -> Result<String, EmbeddedError> {
    let answer = answer(command, input, limit)?;
    if answer.success {
        return Ok(answer.stdout);
    }
    let said = if answer.stderr.trim().is_empty() { &answer.stdout } else { &answer.stderr };
    Err(EmbeddedError::Tool { tool: name(command), detail: last_lines(said, 6) })
}

/// Runs `command` without any pipe; returns whether it succeeded.
pub(crate) fn silently(command: &mut Command, limit: Duration) -> Result<bool, EmbeddedError> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|source| EmbeddedError::Spawn { tool: name(command), source })?;
    wait(&mut child, command, limit)
}

fn wait(child: &mut std::process::Child, command: &Command, limit: Duration) -> Result<bool, EmbeddedError> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < deadline => sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(EmbeddedError::ToolTimeout { tool: name(command), limit });
            }
            Err(source) => return Err(EmbeddedError::Spawn { tool: name(command), source }),
        }
    }
}

fn text(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last `count` lines that are not empty, joined by `; `.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("; ")
}

/// The program's own name, without its arguments. Under `unshare` that is the program behind it.
fn name(command: &Command) -> String {
    let program = match command.get_program().to_str() {
        Some("unshare") => {
            command.get_args().find(|argument| !argument.to_string_lossy().starts_with('-')).unwrap_or_default()
        }
        _ => command.get_program(),
    };
    std::path::Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended() {
        let result = silently(Command::new("sleep").arg("30"), Duration::from_millis(50));
        assert!(matches!(result, Err(EmbeddedError::ToolTimeout { .. })), "{result:?}");
    }

    #[test]
    fn a_failure_carries_the_end_of_what_was_printed() {
        let result = succeed(Command::new("sh").args(["-c", "echo one >&2; echo two >&2; exit 3"]), "", POLL * 1000);
        assert_eq!(result.unwrap_err().to_string(), "`sh` failed: one; two");
    }

    #[test]
    fn the_input_reaches_the_program() {
        assert_eq!(succeed(&mut Command::new("cat"), "hello", POLL * 1000).unwrap(), "hello");
    }
}
