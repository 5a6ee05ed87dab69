persona "visitor" {}

persona "guest" {
  guest = true
}

persona "crawler" {
  workload = true
}

persona "publisher" {
  workload = true
  groups   = ["maintainers"]
}

persona "maintainer" {
  groups = ["maintainers"]
}

persona "maintainer with a second factor" {
  groups = ["maintainers"]
  mfa    = true
}

test "everybody reads what is published" {
  as = ["visitor", "guest"]
  call "docs/query-docs" {
    input  = { libraryId = "/contoso/docs", query = "install" }
    expect = "allow"
    by     = ["everybody-reads"]
  }
  call "docs/resolve-library-id" {
    input  = { query = "install", libraryName = "contoso" }
    expect = "allow"
  }
  call "files/read_text_file" {
    input  = { path = "/srv/docs/public/install.md" }
    expect = "allow"
  }
  call "files/list_directory" {
    input  = { path = "/srv/docs/public" }
    expect = "allow"
  }
  list {
    excludes = ["files/write_file"]
    count    = 6
  }
}

test "and nothing else" {
  as = ["visitor", "guest", "crawler"]
  call "files/read_text_file" {
    input   = { path = "/srv/docs/drafts/next.md" }
    expect  = "deny"
    by      = ["published-only"]
    message = "What is published is below /srv/docs/public."
  }
  call "files/search_files" {
    input  = { path = "/srv/docs/public/../drafts", pattern = "*" }
    expect = "deny"
    by     = ["published-only"]
  }
  call "files/write_file" {
    input  = { path = "/srv/docs/public/install.md", content = "x" }
    expect = "deny"
    by     = []
  }
}

test "programs have the files only" {
  as = "crawler"
  call "files/get_file_info" {
    input  = { path = "/srv/docs/public/install.md" }
    expect = "allow"
  }
  call "docs/query-docs" {
    input  = { libraryId = "/contoso/docs", query = "install" }
    expect = "deny"
    by     = ["no-programs-in-search"]
  }
  list { excludes = ["docs/*"] }
}

test "but for the one that maintainers publish with" {
  as = "publisher"
  call "docs/query-docs" {
    input  = { libraryId = "/contoso/docs", query = "install" }
    expect = "allow"
  }
}

test "maintainers write drafts" {
  as = "maintainer"
  call "files/write_file" {
    input  = { path = "/srv/docs/drafts/next.md", content = "x" }
    expect = "allow"
    by     = ["maintainers-write"]
  }
  call "files/write_file" {
    input   = { path = "/srv/docs/public/next.md", content = "x" }
    expect  = "deny"
    message = "Publishing takes a sign-in with a second factor."
  }
  call "files/read_text_file" {
    input  = { path = "/srv/docs/drafts/next.md" }
    expect = "allow"
  }
}

test "and publish them" {
  as = "maintainer with a second factor"
  call "files/write_file" {
    input  = { path = "/srv/docs/public/next.md", content = "x" }
    expect = "allow"
  }
  call "files/write_file" {
    input  = { path = "/srv/docs/public/../../etc/passwd", content = "x" }
    expect = "deny"
    by     = []
  }
}
