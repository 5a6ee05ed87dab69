test "the team reads and writes what is the project's" {
  as = "dev"
  call "files/read_text_file" {
    input  = { path = "/srv/project/README.md" }
    expect = "allow"
  }
  call "files/write_file" {
    input  = { path = "/srv/project/README.md", content = "Hello" }
    expect = "allow"
    by     = ["team-writes-files"]
  }
  call "files/write_file" {
    input   = { path = "/srv/project/.github/workflows/ci.yml", content = "" }
    expect  = "deny"
    by      = []
    message = "Files are written below /srv/project, and those below /srv/project/.github by leads."
  }
  call "files/read_text_file" {
    input  = { path = "/srv/project/../../etc/passwd" }
    expect = "deny"
    by     = ["no-way-up"]
  }
  # Moving has a source and a destination, so that nothing but leads' permit is for it.
  call "files/move_file" {
    input  = { source = "/srv/project/a", destination = "/srv/project/b" }
    expect = "deny"
  }
  list {
    includes = ["files/*_text_file", "files/write_file", "wiki/API-*-page"]
    excludes = ["files/move_*", "wiki/API-delete-*"]
  }
}

test "the team writes the wiki" {
  as = "dev"
  call "wiki/API-create-a-comment" {
    input  = { parent = { page_id = "1" }, rich_text = ["Nice!"] }
    expect = "allow"
    by     = ["team-writes-wiki"]
  }
  call "wiki/API-patch-page" {
    input  = { page_id = "1", archived = true }
    expect = "allow"
    by     = ["team-writes-wiki"]
  }
  call "wiki/API-patch-page" {
    input   = { page_id = "1", in_trash = true }
    expect  = "deny"
    by      = ["trash-is-for-leads"]
    message = "Pages are put into the trash by leads; set archived instead."
  }
  call "wiki/API-delete-a-block" {
    input  = { block_id = "1" }
    expect = "deny"
    by     = []
  }
  call "wiki/API-retrieve-a-comment" {
    input  = { block_id = "1" }
    expect = "allow"
  }
}

test "lock files are read, and not written" {
  as = ["dev", "lead with a password only"]
  call "files/write_file" {
    input   = { path = "/srv/project/yarn.lock", content = "" }
    expect  = "deny"
    by      = ["lock-files-are-generated"]
    message = "Run the package manager instead of writing its lock file."
  }
  call "files/read_text_file" {
    input  = { path = "/srv/project/yarn.lock" }
    expect = "allow"
  }
  call "files/list_directory" {
    input  = { path = "/srv/project" }
    expect = "allow"
  }
}

test "no path leads up" {
  as = ["dev", "lead with a password only"]
  call "files/edit_file" {
    input  = { path = "/srv/project/../x", edits = [] }
    expect = "deny"
    by     = ["no-way-up"]
  }
}
