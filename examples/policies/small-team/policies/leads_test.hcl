test "leads do everything with a second factor" {
  as = "lead"
  call "wiki/API-delete-a-block" {
    input  = { block_id = "1" }
    expect = "allow"
    by     = ["leads-do-everything"]
  }
  call "wiki/API-patch-page" {
    input  = { page_id = "1", in_trash = true }
    expect = "allow"
  }
  call "files/write_file" {
    input  = { path = "/srv/project/yarn.lock", content = "" }
    expect = "allow"
  }
  call "files/edit_file" {
    input  = { path = "/srv/project/docs/../README.md", edits = [] }
    expect = "allow"
  }
  call "files/move_file" {
    input  = { source = "/srv/project/a", destination = "/srv/project/b" }
    expect = "allow"
  }
  call "files/write_file" {
    input  = { path = "/srv/project/.github/workflows/ci.yml", content = "on: push" }
    expect = "allow"
    by     = ["leads-do-everything"]
  }
  list { count = 12 }
}

test "without one they are as anybody in the team" {
  as = "lead with a password only"
  call "wiki/API-delete-a-block" {
    input  = { block_id = "1" }
    expect = "deny"
  }
  call "files/search_files" {
    input  = { path = "/srv/project", pattern = "TODO" }
    expect = "allow"
    by     = ["leads-do-everything", "team-reads"]
  }
}
