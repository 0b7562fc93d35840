"""The sample crawl: pages written for Gristmill, the script that wraps them as WARC, and each page's expected fate."""
