//! Settings of the system's allocator, on Linux with glibc; nothing anywhere else.
//!
//! This is a crate of its own because `mallopt` needs `unsafe`, which all other crates forbid.
//!
//! Answers of a portal are megabytes, made on one thread and freed on another. Left alone, glibc gives threads heaps of
//! their own, each of which keeps its peak, and asks the kernel for every large piece anew until it has learned its size.
//! With the settings below, a full sync of 100,000 records takes three quarters of the memory and half of the time in the
//! kernel (`docs/performance.md`).

/// One heap for all threads: small pieces come from a cache that each thread has anyway.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: libc::c_int = 1;

/// Bytes from which a piece comes from the kernel and goes back to it: above any answer of a portal.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 32 << 20;

/// Sets the allocator up. To be called before there are threads. What is set in the environment (`MALLOC_ARENA_MAX`,
/// `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`; mallopt(3)) has the last word. A refusal changes nothing, and is
/// no error.
pub fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (name, parameter, value) in [
        ("MALLOC_ARENA_MAX", libc::M_ARENA_MAX, HEAPS),
        ("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD, LARGE),
        ("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD, LARGE),
    ] {
        if std::env::var_os(name).is_none() {
            #[expect(unsafe_code, reason = "mallopt(3) takes two numbers and is safe to call at any time")]
            // SAFETY: no pointers are passed; it locks the allocator while it changes its parameters.
            unsafe {
                libc::mallopt(parameter, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_is_had_after_the_settings_as_before() {
        let before = vec![1_u8; 1 << 20];
        super::settle();
        let after = vec![1_u8; 64 << 20];
        assert_eq!((before.len(), after.len()), (1 << 20, 64 << 20));
    }
}
