.PHONY: check test quickstart
check test quickstart:
	python3 run.py $@
