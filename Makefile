.PHONY: install
install:
	.venv/bin/uv pip sync -q --python .venv/bin/python requirements.lock && .venv/bin/uv pip install -q --no-deps -e .
